package agent

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/audit/settle"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/supervise"
)

// Nobody's sessions are closed of whom it is not known that he is dead.
func TestScope(t *testing.T) {
	began := time.Now()
	self := cluster.Member{UID: core.NewID().String(), Name: "new", Kind: cluster.Agent, Started: began}
	for name, tt := range map[string]struct {
		strangers bool
		survivors []*supervise.Survivor
		over      []int
		workers   int      // Places whose sessions are looked at, under each of two names.
		without   []string // Some that are not.
		whole     bool
	}{
		"nobody was left running":               {workers: config.MaxWorkers, whole: true},
		"one was, and says nothing":             {survivors: []*supervise.Survivor{{Index: 2, PID: 42}}, workers: config.MaxWorkers - 1, without: []string{"new-2", "old-2"}},
		"one was, and has ended":                {survivors: []*supervise.Survivor{{Index: 2, PID: 42}}, over: []int{42}, workers: config.MaxWorkers, whole: true},
		"one ended, and the other says nothing": {survivors: []*supervise.Survivor{{Index: 2, PID: 42}, {Index: 2, PID: 43}}, over: []int{42}, workers: config.MaxWorkers - 1},
		"some cannot be asked":                  {strangers: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // No time to wait for anybody.
			s := &settling{
				past: &past{names: []string{"new", "old"}}, members: cluster.New(cluster.Options{Self: func() cluster.Member { return self }}),
				survivors: tt.survivors, strangers: tt.strangers, over: func(pid int) bool { return slices.Contains(tt.over, pid) },
				log: slog.New(slog.DiscardHandler),
			}
			scope, whole := s.scope(ctx, began)
			if whole != tt.whole || len(scope.Workers) != 2*tt.workers || !slices.Equal(scope.Agents, []string{"new", "old"}) || !scope.Before.Equal(began) {
				t.Errorf("whole: %v, agents %q and %d workers before %v", whole, scope.Agents, len(scope.Workers), scope.Before)
			}
			for _, name := range tt.without {
				if slices.Contains(scope.Workers, name) {
					t.Errorf("the sessions of %s would be closed", name)
				}
			}
			if !slices.Equal(scope.Living, []settle.Life{{Node: "new", Started: began}}) {
				t.Errorf("alive are %v", scope.Living)
			}
		})
	}
}

// The sessions of a worker that was met, and has gone since, are the registry's to close, which knows how they ended.
func TestScopeLeavesOutWhoHasJustGone(t *testing.T) {
	began := time.Now()
	self := cluster.Member{UID: core.NewID().String(), Name: "new", Kind: cluster.Agent, Started: began}
	s := &settling{
		past: &past{names: []string{"new"}}, members: cluster.New(cluster.Options{Self: func() cluster.Member { return self }}),
		log: slog.New(slog.DiscardHandler),
	}
	met := cluster.Member{Name: "new-3", Kind: cluster.Worker, Index: 3, Started: began.Add(-time.Hour)}
	stranger := cluster.Member{Name: "elsewhere", Kind: cluster.Worker, Started: began.Add(-time.Hour)}
	for _, e := range []cluster.Event{
		{Kind: cluster.Joined, Member: met},
		{Kind: cluster.Gone, Member: met},
		{Kind: cluster.Gone, Member: stranger},
	} {
		s.heard(e)
	}
	scope, whole := s.scope(t.Context(), began)
	if want := []settle.Life{{Node: "new-3", Started: met.Started}, {Node: "new", Started: began}}; !whole || !slices.Equal(scope.Living, want) {
		t.Errorf("whole: %v, left out are %v", whole, scope.Living)
	}
	if scope, _ := s.scope(t.Context(), time.Now().Add(time.Hour)); len(scope.Living) != 1 { // All of them is stored by then.
		t.Errorf("later, left out are %v", scope.Living)
	}
}

// Sessions end when the agent before was last seen, if that is known and can be.
func TestEnd(t *testing.T) {
	began := time.Now()
	self := cluster.Member{UID: core.NewID().String(), Name: "new", Kind: cluster.Agent, Started: began}
	members := cluster.New(cluster.Options{Self: func() cluster.Member { return self }})
	for name, tt := range map[string]struct{ seen, want time.Time }{
		"seen":                      {began.Add(-time.Hour), began.Add(-time.Hour)},
		"never":                     {time.Time{}, began},
		"the clock was turned back": {began.Add(time.Hour), began},
	} {
		t.Run(name, func(t *testing.T) {
			s := &settling{past: &past{seen: tt.seen}, members: members}
			if got := s.end(); !got.Equal(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
