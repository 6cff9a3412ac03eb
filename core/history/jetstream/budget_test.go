//go:build !race

// Without the race detector, which allocates too.

package jetstream_test

import (
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history/jetstream"
)

// TestAllocations holds that a publication is made ready, and its acknowledgement read, in memory that is there already.
func TestAllocations(t *testing.T) {
	room := make([]byte, 0, 1024)
	at := core.Position{Offset: 1 << 40, Epoch: "abcdefgh"}
	pub := &core.Publication{
		ID: core.NewID(), Channel: "a", Data: []byte(`{"text":"hello"}`), ExpireAt: 1700000000, Except: core.NewID(),
		Info: &core.ClientInfo{User: "alice", Client: core.NewID().String()},
	}
	if got := testing.AllocsPerRun(100, func() {
		if _, err := jetstream.Seal(room, at, pub); err != nil {
			t.Error(err)
		}
	}); got > 0 {
		t.Errorf("the body of a publication: %v allocations, want none", got)
	}
	answer := []byte(`{"stream":"ZC_h_room","seq":1234567}`)
	if got := testing.AllocsPerRun(100, func() {
		if _, err := jetstream.Stored(answer); err != nil {
			t.Error(err)
		}
	}); got > 0 {
		t.Errorf("an acknowledgement: %v allocations, want none", got)
	}
}
