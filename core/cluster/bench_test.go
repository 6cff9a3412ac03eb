package cluster_test

import (
	"fmt"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

func four(b *testing.B) []*node {
	return startAll(b, setup{name: "a"}, setup{name: "b"}, setup{name: "c"}, setup{name: "d"})
}

// 1,000 members of a channel, 250 on each of four nodes.
func BenchmarkPresence(b *testing.B) {
	all := four(b)
	for i := range 1000 {
		c := all[i%4].dial(fmt.Sprintf("user %d", i), "room")
		b.Cleanup(c.end)
	}
	b.Run("members", func(b *testing.B) {
		for b.Loop() {
			if members, err := all[0].calls.Presence(b.Context(), "room"); err != nil || len(members) != 1000 {
				b.Fatal(len(members), err)
			}
		}
	})
	b.Run("stats", func(b *testing.B) {
		for b.Loop() {
			if stats, err := all[0].calls.PresenceStats(b.Context(), "room"); err != nil || stats.Users != 1000 {
				b.Fatal(stats, err)
			}
		}
	})
}

// What somebody without sessions costs: asking all four.
func BenchmarkDisconnect(b *testing.B) {
	all := four(b)
	for b.Loop() {
		if err := all[0].calls.Disconnect(b.Context(), session.Target{User: "alice"}, core.DisconnectExpired); err != nil {
			b.Fatal(err)
		}
	}
}

// What sessions_per_user adds to each connect where there are three other nodes.
func BenchmarkSessionsOfUser(b *testing.B) {
	all := four(b)
	here := all[0].calls.Elsewhere()
	all[1].connect("alice")
	b.Run("one at a time", func(b *testing.B) {
		for b.Loop() {
			if n := here.SessionsOf(b.Context(), "alice"); n != 1 {
				b.Fatal(n)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if n := here.SessionsOf(b.Context(), "alice"); n != 1 {
					b.Error(n)
				}
			}
		})
	})
}
