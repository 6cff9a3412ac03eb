package jetstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// Start implements history.Starter. The common case costs no goroutine: the channel's end is known, nobody else is at it, and no other
// process is on the bus. Everything else takes the way of Append, on a goroutine that ends soon after the deadline.
func (s *Store) Start(deadline time.Time, channel string, pub *core.Publication, _ history.Limits, then history.Then) {
	sp, token, err := s.space(channel)
	if err != nil {
		then.Appended(core.Position{}, err)
		return
	}
	sp.prepare(pub)
	if sp.start(deadline, token, pub, then) {
		return
	}
	go func() {
		ctx, cancel := history.Until(deadline)
		defer cancel()
		then.Appended(s.Append(ctx, channel, pub, history.Limits{}))
	}()
}

// prepare makes a publication ready for being stored.
func (sp *space) prepare(pub *core.Publication) {
	if pub.ID.IsZero() {
		pub.ID = core.NewID() // An attempt whose acknowledgement was lost is recognized by it.
	}
	pub.Offset = 0
}

// keep appends a publication, in one or more attempts; unsure says that one before may have stored it. The caller has the channel's turn.
func (sp *space) keep(ctx context.Context, h *head, pub *core.Publication, unsure bool) (at core.Position, err error) {
	err = sp.inTurn(ctx, h, func(ctx context.Context, h *head) error {
		at, err = sp.append(ctx, h, pub, unsure)
		unsure = unsure || err != nil && !errors.Is(err, errConflict)
		return err
	})
	return at, err
}

// appending is a publication on its way into the ring, whose channel's turn it has.
type appending struct {
	space *space
	head  *head
	from  headState
	next  core.Position
	pub   *core.Publication
	then  history.Then
	write write
	m     nats.Msg
}

// keptBody is the longest body, in bytes, whose memory is kept for the next publication.
const keptBody = 4 << 10

// appendings are those that ended well, the memory of their bodies with them: a publication on its way has as much of it as all else that
// is made for it.
var appendings = sync.Pool{New: func() any { return new(appending) }}

// start stores a publication together with others, if that is easy.
func (sp *space) start(deadline time.Time, token string, pub *core.Publication, then history.Then) bool {
	if !sp.bus.Alone() || !sp.ready.Load() || sp.bus.Problem() != "" {
		return false
	}
	h := sp.head(token)
	select {
	case h.turn <- struct{}{}:
	default:
		return false
	}
	s := h.state()
	if !s.known || !s.open || !s.sure {
		<-h.turn
		return false
	}
	a := appendings.Get().(*appending)
	a.space, a.head, a.from, a.pub, a.then = sp, h, s, pub, then
	a.next = core.Position{Offset: s.at.Offset + 1, Epoch: s.at.Epoch}
	a.m.Subject = sp.slot(token, a.next.Offset, uint64(sp.limits.Size))
	var err error
	if a.m.Data, err = seal(a.m.Data, a.next, pub); err != nil {
		<-h.turn
		return false // Append meets the same error.
	}
	pub.Offset = a.next.Offset
	a.write = write{m: &a.m, deadline: deadline, writer: a}
	sp.group.add(&a.write)
	return true
}

// written implements writer.
func (a *appending) written(seq uint64, err error) {
	if err != nil {
		go a.again(err)
		return
	}
	a.from.appended(a.next, seq)
	a.head.set(a.from)
	a.end(a.next, nil)
	a.release()
}

// release leaves the memory to the next one. It is for one that ended well: nobody has it or its message any more. The connection has made a
// copy of the message, and the group tells of a write when it is done with it.
func (a *appending) release() {
	body := a.m.Data[:0]
	if cap(body) > keptBody {
		body = nil
	}
	*a = appending{m: nats.Msg{Data: body}}
	appendings.Put(a)
}

// again finds out what became of a publication and stores it if need be.
func (a *appending) again(cause error) {
	if errors.Is(cause, errNotBegun) {
		a.end(core.Position{}, cause)
		return
	}
	a.head.forget()
	if !isUnavailable(cause) {
		a.end(core.Position{}, cause)
		return
	}
	ctx, cancel := history.Until(a.write.deadline)
	defer cancel()
	a.end(a.space.keep(ctx, a.head, a.pub, true))
}

func (a *appending) end(at core.Position, err error) {
	<-a.head.turn
	a.space.note(err)
	a.then.Appended(at, err)
}
