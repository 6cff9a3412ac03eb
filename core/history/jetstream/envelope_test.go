package jetstream_test

import (
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/core/history/jetstream"
)

func TestEnvelope(t *testing.T) {
	at := core.Position{Offset: 1 << 40, Epoch: "abcdefgh"}
	for name, pub := range map[string]*core.Publication{
		"plain": {ID: core.NewID(), Channel: "a", Offset: at.Offset, Data: []byte(`{"a":1}`)},
		"all": {
			ID: core.NewID(), Channel: "a", Offset: at.Offset, Data: []byte{0, 1, 2}, Time: 7, ExpireAt: 1 << 40, Except: core.NewID(),
			Info: &core.ClientInfo{User: "u", Client: "c", ConnInfo: []byte("1")}, Tags: map[string]string{"k": "v"},
		},
		"empty": {ID: core.NewID(), Channel: "a", Offset: at.Offset},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := jetstream.Sealed(at, pub)
			if err != nil {
				t.Fatal(err)
			}
			got, epoch, err := jetstream.Unsealed(b)
			if err != nil || epoch != at.Epoch || !reflect.DeepEqual(got, pub) {
				t.Errorf("got %+v of %q, %v; want %+v", got, epoch, err, pub)
			}
		})
	}
}

func FuzzEnvelope(f *testing.F) {
	b, err := jetstream.Sealed(core.Position{Offset: 5, Epoch: "abcdefgh"}, &core.Publication{ExpireAt: 9, Except: core.NewID(), Data: []byte("1")})
	if err != nil {
		f.Fatal(err)
	}
	for i := range b {
		f.Add(b[:i])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, epoch, err := jetstream.Unsealed(b); (err == nil) != (epoch != "") {
			t.Errorf("epoch %q, %v", epoch, err)
		}
	})
}

// Publications have headers when other processes may be on the bus, and none otherwise. Both are read whoever is there.
func TestHeadersAndEnvelopes(t *testing.T) {
	dir, limits := t.TempDir(), history.Limits{Size: 10, TTL: time.Hour}
	with := func(listen string, do func(s *jetstream.Store)) {
		c := config.Default().Bus
		c.Listen = listen
		b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
		if err := b.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		do(openStore(t, b, one(limits)))
	}
	want, epoch := uint64(0), ""
	for _, listen := range []string{"127.0.0.1:0", "", "127.0.0.1:0", ""} {
		with(listen, func(s *jetstream.Store) {
			for _, store := range []history.Store{s, started{s}} {
				want++
				if at := historytest.Publish(t, store, "a", 1, limits); at.Offset != want || epoch != "" && at.Epoch != epoch {
					t.Fatalf("publication %d is at %v, the epoch was %q", want, at, epoch)
				} else {
					epoch = at.Epoch
				}
			}
			got := historytest.Read(t, s, "a", history.Query{Limit: -1})
			if len(got) != int(want) || !slices.IsSorted(got) || got[0] != 1 {
				t.Errorf("after %d the history has %v", want, got)
			}
		})
	}
}
