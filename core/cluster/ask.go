package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
)

const (
	lookTimeout  = 2 * time.Second        // The longest that looks wait for a member.
	absentPause  = 100 * time.Millisecond // Between two attempts to reach a member whose connection is gone.
	absentMost   = 3 * time.Second        // In which it either comes back or is found to have gone.
	busyPause    = 5 * time.Millisecond   // Between two attempts to ask a member that has too many questions.
	maxNamesTold = 10                     // Members that an error names.
	tellPause    = 10 * time.Second       // Between two warnings about the same member.
)

// errLeft says that a member is not there any more.
var errLeft = errors.New("the member has gone")

// errSilent says that a member was not even asked.
var errSilent = errors.New("it has not been heard for a while")

// told is what one member answered. err is a *core.Error, or says why there is no answer.
type told[A any] struct {
	from contact
	got  A
	err  error
}

// everyone asks some members at once and returns what they said, sorted by their names. Those that have gone are left out.
func everyone[Q, A any](ctx context.Context, c *Calls, peers []contact, v verb[Q, A], q Q) []told[A] {
	if len(peers) == 0 {
		return nil
	}
	slots := c.looking
	if v.act {
		slots = c.acting
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookTimeout)
		defer cancel()
	}
	body, err := v.question(q)
	if err == nil {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			err = fmt.Errorf("it was not asked, because too many calls are under way: %w", ctx.Err())
		}
	}
	all := make([]told[A], len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		all[i] = told[A]{from: p, err: err}
		if err == nil {
			wg.Go(func() { all[i].got, all[i].err = ask(ctx, c, p, v, body) })
		}
	}
	wg.Wait()
	all = slices.DeleteFunc(all, func(t told[A]) bool { return errors.Is(t.err, errLeft) })
	slices.SortFunc(all, func(a, b told[A]) int {
		return cmp.Or(cmp.Compare(a.from.Name, b.from.Name), cmp.Compare(a.from.UID, b.from.UID))
	})
	return all
}

// ask asks one member, again if it has too many questions. For an act it also tries again when the member's connection is gone, until
// that is back or the member has been found to have gone: else an act might miss the sessions of a member that was cut off for a moment.
func ask[Q, A any](ctx context.Context, c *Calls, p contact, v verb[Q, A], body []byte) (A, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stay := context.AfterFunc(p.here, cancel)
	defer stay()
	var nothing A
	for absent := time.Duration(0); ; { // For how long there has been nobody.
		message, err := c.fetch(ctx, p.UID, v.act, body)
		if err == nil {
			return readAnswer[A](message)
		}
		pause := busyPause
		switch nobody := errors.Is(err, bus.ErrNobody); {
		case p.here.Err() != nil, nobody && !v.act:
			return nothing, errLeft
		case nobody && absent < absentMost:
			pause = absentPause
			absent += pause
		case !errors.Is(err, bus.Busy), ctx.Err() != nil:
			return nothing, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done(): // The next attempt fails, and tells why.
		}
	}
}

// fetch asks a member once, and gets all parts of its answer.
func (c *Calls) fetch(ctx context.Context, uid string, act bool, body []byte) ([]byte, error) {
	class := lookSubject
	if act {
		class = actSubject
	}
	message, err := c.bus.Request(ctx, "node."+uid+class, body)
	if err != nil {
		return nil, err
	}
	return unpack(message, func(request []byte) ([]byte, error) { return c.bus.Request(ctx, "node."+uid+partSubject, request) })
}

// look asks members to look and hands each answer to take, which may refuse it. Who is silent is not waited for. Of whom nothing comes is
// counted, and returned.
func look[Q, A any](ctx context.Context, c *Calls, peers []contact, v verb[Q, A], q Q, take func(A) error) (missing []contact, err error) {
	heard := slices.DeleteFunc(slices.Clone(peers), contact.silent)
	all := everyone(ctx, c, heard, v, q)
	for _, p := range peers {
		if p.silent() {
			all = append(all, told[A]{from: p, err: errSilent})
		}
	}
	for _, t := range all {
		if t.err == nil {
			t.err = take(t.got)
		}
		refused, ok := errors.AsType[*core.Error](t.err)
		switch {
		case t.err == nil:
		case ok:
			err = cmp.Or(err, error(refused))
		default:
			c.unanswered(v.name, t.from, t.err)
			missing = append(missing, t.from)
		}
	}
	return missing, err
}

// act has this process and all other members do something, and returns what each answered.
func act[Q, A any](ctx context.Context, c *Calls, v verb[Q, A], keeps bool, q Q) ([]A, error) {
	var peers []contact
	if !keeps {
		peers = c.members.usable()
	}
	var all []told[A]
	var wg sync.WaitGroup
	wg.Go(func() { all = everyone(ctx, c, peers, v, q) })
	got, err := v.do(ctx, c.local, q)
	wg.Wait()
	done := []A{got}
	var missing []string
	var cause error
	for _, t := range all {
		refused, ok := errors.AsType[*core.Error](t.err)
		switch {
		case t.err == nil:
			done = append(done, t.got)
		case ok && err == nil:
			err = refused
		case !ok:
			c.unanswered(v.name, t.from, t.err)
			missing, cause = append(missing, t.from.Name), t.err
		}
	}
	if len(missing) > 0 && err == nil {
		err = notAnswered(missing, cause)
	}
	return done, err
}

// notAnswered is what the caller of an act is told.
func notAnswered(missing []string, cause error) error {
	names := strings.Join(missing[:min(len(missing), maxNamesTold)], ", ")
	if more := len(missing) - maxNamesTold; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return core.ErrInternal.Saying("did not answer in time, or failed (the other nodes have done it): " + names).Because(cause)
}

// unanswered counts and tells that a member did not answer; it is told once in a while for each member.
func (c *Calls) unanswered(call string, p contact, err error) {
	c.metrics.ClusterUnanswered.WithLabelValues(call).Inc()
	c.mu.Lock()
	now := time.Now()
	maps.DeleteFunc(c.told, func(_ string, at time.Time) bool { return now.Sub(at) >= tellPause })
	_, told := c.told[p.UID]
	if !told {
		c.told[p.UID] = now
	}
	c.mu.Unlock()
	if !told {
		c.log.Warn("a process did not answer", "call", call, "name", p.Name, "uid", p.UID, "error", err)
	}
}
