package outbound_test

import (
	"sync"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
)

// TestHold has one reader hold its queue and flush it, again and again, while others publish into it: all of it leaves, and in each one's
// order, whoever writes it.
func TestHold(t *testing.T) {
	t.Parallel()
	p := connect(t, wide)
	const producers, each = 4, 2000
	var wg sync.WaitGroup
	for producer := range uint64(producers) {
		wg.Go(func() {
			for i := range uint64(each) {
				if producer == 0 { // The reader.
					p.queue.Hold()
					p.queue.Enqueue(frame(i), nil)
					p.queue.Flush()
				} else if p.queue.Enqueue(frame(producer<<32|i), nil) == outbound.Dirty {
					p.queue.Flush()
				}
			}
		})
	}
	got := make(chan []uint64, 1)
	go func() {
		all, _ := numbers(p.peer)
		got <- all
	}()
	wg.Wait()
	p.queue.Disconnect(core.DisconnectForceNoReconnect)
	p.queue.Flush()
	all := <-got
	if len(all) != producers*each+1 {
		t.Fatalf("%d frames, want %d and the goodbye", len(all), producers*each)
	}
	var next [producers]uint64
	for _, n := range all[:producers*each] {
		if n&0xffffffff != next[n>>32] {
			t.Fatalf("producer %d: frame %d, want %d", n>>32, n&0xffffffff, next[n>>32])
		}
		next[n>>32]++
	}
}
