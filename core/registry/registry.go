package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/session"
)

// Members tells who belongs to the cluster. Implemented by cluster.Members, whose comments say what each method does.
type Members interface {
	Self() cluster.Member
	Find(uid string) (cluster.Member, bool)
	Watch(f func(cluster.Event))
}

// Recorder takes audit events. Implemented by audit.Recorder.
type Recorder interface {
	session.Recorder
	Hasten()
}

// Options are what a Registry is made of.
type Options struct {
	Members  Members
	Bus      Bus
	Sender   *Sender  // This agent's own, by which it also tells of the sessions of processes that were lost.
	Recorder Recorder // Gets the end of those sessions.
	Log      *slog.Logger
}

// Registry is the list of all sessions of the installation, as one agent knows it. All methods but Run may be called concurrently.
type Registry struct {
	options Options
	work    sync.WaitGroup
	readers chan struct{} // Holds one for each reading under way.

	resyncs atomic.Uint64

	events struct {
		sync.Mutex
		waiting []cluster.Event // As many as members come and go until Run looks.
		wake    chan struct{}
	}

	mu      sync.RWMutex // Guards all below.
	running bool         // Goroutines may be started.
	members map[string]*member
	agents  map[string]struct{} // UIDs of the agents that are there, this one included.
	users   users
	lost    map[string]*lost // By UID: members that are gone.
}

// member is one process of the cluster.
type member struct {
	uid   string
	agent string // Who supervises it.

	// Fixed after it was made.
	ctx    context.Context // Ends when it is gone.
	cancel context.CancelFunc
	back   *lost // It was taken for lost; nil: it was not.

	// Guarded by the Registry's mu.
	list    list
	reads   bool      // A goroutine reads its list.
	leaving bool      // It is gone, and the last of its changes may still come.
	ended   time.Time // When that was.
}

// New makes a Registry.
func New(o Options) *Registry {
	r := &Registry{
		options: o, readers: make(chan struct{}, readersMost), members: make(map[string]*member), agents: make(map[string]struct{}),
		users: make(users), lost: make(map[string]*lost),
	}
	r.events.wake = make(chan struct{}, 1)
	return r
}

// Run keeps the list until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	defer r.work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.stop()
	silenceBatches, err := r.options.Bus.Listen(batchSubject+"*", r.hear)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	defer silenceBatches()
	silenceLost, err := r.options.Bus.Listen(lostSubject, r.hearLost)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	defer silenceLost()
	r.mu.Lock()
	r.running = true
	r.mu.Unlock()
	r.joined(ctx, r.options.Members.Self())
	r.options.Members.Watch(r.happened)
	forget := time.NewTicker(lostCheck)
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-forget.C:
			r.forget()
		case <-r.events.wake:
			r.events.Lock()
			waiting := r.events.waiting
			r.events.waiting = nil
			r.events.Unlock()
			for _, e := range waiting {
				r.handle(ctx, e)
			}
		}
	}
}

// stop lets no more goroutines begin.
func (r *Registry) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
}

// startLocked starts a goroutine of Run's, unless that is ending.
func (r *Registry) startLocked(f func()) {
	if r.running {
		r.work.Go(f)
	}
}

// happened takes what the cluster tells to Run.
func (r *Registry) happened(e cluster.Event) {
	r.mu.RLock()
	running := r.running
	r.mu.RUnlock()
	if !running {
		return
	}
	r.events.Lock()
	r.events.waiting = append(r.events.waiting, e)
	r.events.Unlock()
	select {
	case r.events.wake <- struct{}{}:
	default: // Run will see it.
	}
}

func (r *Registry) handle(ctx context.Context, e cluster.Event) {
	switch e.Kind {
	case cluster.Joined:
		r.joined(ctx, e.Member)
	case cluster.Changed:
		r.mu.Lock()
		if m := r.members[e.Member.UID]; m != nil {
			m.agent = e.Member.Agent
		}
		r.mu.Unlock()
	case cluster.Gone:
		r.gone(ctx, e.Member, e.Reason)
	}
}

// joined begins to keep the list of a member that has come, or come back.
func (r *Registry) joined(ctx context.Context, who cluster.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if who.Kind == cluster.Agent {
		r.agents[who.UID] = struct{}{}
	}
	if m := r.members[who.UID]; m != nil { // It was only just taken for gone.
		m.agent, m.leaving = who.Agent, false
		r.resyncLocked(m)
		return
	}
	m := &member{uid: who.UID, agent: who.Agent, back: r.lost[who.UID], list: list{sessions: map[core.ID]*entry{}}}
	m.ctx, m.cancel = context.WithCancel(ctx)
	if m.back != nil {
		m.back.returned = true
		delete(r.lost, who.UID)
		r.options.Log.Info("a node that was taken for lost is there again; its sessions are taken back", "node", m.back.name, "uid", who.UID)
	}
	r.members[who.UID] = m
	m.list.begin()
	r.readLocked(m)
}

// hear takes a batch from a member. What comes from a process that has not joined is in its list when it joins.
func (r *Registry) hear(_ string, body []byte) {
	b, err := parseMessage(body)
	if err != nil {
		r.options.Log.Debug("an announcement of sessions cannot be read", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[b.uid]
	if m != nil && !m.apply(b, r.users) {
		r.resyncLocked(m)
	}
}
