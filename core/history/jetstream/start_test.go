package jetstream_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/core/history/jetstream"
)

var _ history.Starter = (*jetstream.Store)(nil)

// started is a store whose appends are started and waited for.
type started struct{ *jetstream.Store }

func (s started) Append(ctx context.Context, channel string, pub *core.Publication, limits history.Limits) (core.Position, error) {
	deadline, _ := ctx.Deadline()
	e := make(end, 1)
	s.Start(deadline, channel, pub, limits, e)
	last := <-e
	return last.at, last.err
}

// end is what an append that was started came to.
type end chan struct {
	at  core.Position
	err error
}

func (e end) Appended(at core.Position, err error) {
	e <- struct {
		at  core.Position
		err error
	}{at, err}
}

func TestConformanceStarted(t *testing.T) {
	t.Parallel()
	for name, alone := range map[string]bool{"alone": true, "with others": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			historytest.Run(t, func(t *testing.T, limits history.Limits) history.Store {
				c := embedded()
				if !alone {
					c.Listen = "127.0.0.1:0"
				}
				s := openStore(t, openBus(t, t.TempDir(), c), one(limits))
				run(t, s)
				return started{s}
			})
		})
	}
}

// chain appends to a channel, one publication after the other, each when the one before is done.
type chain struct {
	t       *testing.T
	store   *jetstream.Store
	channel string
	left    int
	offsets []uint64
	over    *sync.WaitGroup
}

func (c *chain) next() {
	pub := &core.Publication{Channel: c.channel, Data: []byte(strconv.Itoa(c.left))}
	c.store.Start(time.Now().Add(time.Minute), c.channel, pub, history.Limits{}, c)
}

func (c *chain) Appended(at core.Position, err error) {
	if err != nil {
		c.t.Errorf("%s: %v", c.channel, err)
		c.over.Done()
		return
	}
	c.offsets = append(c.offsets, at.Offset)
	if c.left--; c.left == 0 {
		c.over.Done()
		return
	}
	c.next()
}

// Appends to many channels are stored together, while others read and the channels are closed in between.
func TestStartedTogether(t *testing.T) {
	t.Parallel()
	const channels, each = 100, 50
	limits := history.Limits{Size: 2 * each, TTL: time.Hour}
	s := openStore(t, openBus(t, t.TempDir(), embedded()), one(limits))
	chains, reads := make([]*chain, channels), atomic.Int64{}
	var over, reader sync.WaitGroup
	for i := range chains {
		over.Add(1)
		chains[i] = &chain{t: t, store: s, channel: "room-" + strconv.Itoa(i), left: each, over: &over}
		chains[i].next()
	}
	done := make(chan struct{})
	reader.Go(func() {
		for i := 0; ; i = (i + 1) % channels {
			select {
			case <-done:
				return
			default:
			}
			if _, _, err := s.Read(t.Context(), chains[i].channel, history.Query{Limit: -1}); err != nil {
				t.Error(err)
				return
			}
			reads.Add(1)
		}
	})
	over.Wait()
	close(done)
	reader.Wait()
	want := make([]uint64, each)
	for i := range want {
		want[i] = uint64(i + 1)
	}
	for _, c := range chains {
		if got := historytest.Read(t, s, c.channel, history.Query{Limit: -1}); !slices.Equal(got, want) || !slices.Equal(c.offsets, want) {
			t.Errorf("%s: the offsets given are %v, those kept %v", c.channel, c.offsets, got)
		}
	}
}
