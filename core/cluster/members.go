package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/metrics"
)

// Bus carries what members say. Implemented by core/bus, whose comments say what each method does; all may be called concurrently.
type Bus interface {
	Request(ctx context.Context, subject string, body []byte) ([]byte, error)
	Handle(subject string, answer func(ctx context.Context, body []byte) ([]byte, error)) (stop func(), err error)
	Publish(subject string, body []byte) error
	Listen(subject string, each func(subject string, body []byte)) (stop func(), err error)
}

// Options are what Members are made of.
type Options struct {
	Bus     Bus           // nil: this process is alone.
	Self    func() Member // Describes this process; called at every hello and every List. The UID and the name must stay the same.
	Log     *slog.Logger
	Metrics *metrics.Metrics
}

// Members knows the processes on the bus. All methods may be called concurrently.
type Members struct {
	options Options
	uid     string
	name    string
	wake    chan struct{} // Asks Run for a hello.
	pings   sync.WaitGroup

	// turn is held while something changes and the watchers hear of it, so that all hear everything in order. It is taken before mu.
	turn     sync.Mutex
	watchers []func(Event) // Guarded by turn.

	mu      sync.Mutex // Guards all below.
	peers   map[string]*peer
	ended   map[string]time.Time // UIDs that can never come back, with the time at which that may be forgotten.
	echo    time.Time            // When this process last heard its own hello; zero: not since it began or was cut off.
	garbage time.Time            // When something unreadable was last told of.
}

// peer is a member other than this process.
type peer struct {
	uid  string          // Member.UID, which is written anew with each hello.
	here context.Context // Ends when the member has gone.
	left context.CancelFunc

	Member // Guarded by Members.mu, as is all below.

	misfit    string        // Why it is incompatible.
	since     time.Duration // How long it has been here, as this process counts it.
	pingAt    time.Duration // The silence at which it is asked next.
	pinging   bool
	nobody    int                        // Pings in a row for which there was nobody.
	skews     [skewSamples]time.Duration // The latest measurements, in a ring.
	measured  int
	skewed    bool // It was told of.
	duplicate bool // Another member has its name.
}

// New makes Members.
func New(o Options) *Members {
	self := o.Self()
	return &Members{
		options: o, uid: self.UID, name: self.Name, wake: make(chan struct{}, 1), peers: make(map[string]*peer), ended: make(map[string]time.Time),
	}
}

// UID returns this process's own.
func (m *Members) UID() string { return m.uid }

// Self describes this process.
func (m *Members) Self() Member {
	self := m.options.Self()
	self.Self = true
	return self
}

// List returns all members, this process included, sorted by name.
func (m *Members) List() []Member {
	list := []Member{m.Self()}
	m.mu.Lock()
	for _, p := range m.peers {
		list = append(list, p.Member)
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Member) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UID, b.UID)) })
	return list
}

// Find returns a member.
func (m *Members) Find(uid string) (Member, bool) {
	if uid == m.uid {
		return m.Self(), true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[uid]; p != nil {
		return p.Member, true
	}
	return Member{}, false
}

// contact is a member that can be asked, as it was at one moment.
type contact struct {
	Member
	here context.Context // Ends when the member has gone.
}

// silent says that the member may be stuck, or gone.
func (c contact) silent() bool { return c.Silence >= silentAfter }

// usable returns the other members that can be asked.
func (m *Members) usable() []contact {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]contact, 0, len(m.peers))
	for _, p := range m.peers {
		if !p.Incompatible {
			list = append(list, contact{p.Member, p.here})
		}
	}
	return list
}

// Watch calls f for each member that joins, changes or goes from now on, and before it returns with Joined for those that are there;
// never for this process itself. All calls happen one after the other, in the order of the events. f must not block, and must not
// call Watch or Gone; it may call the other methods.
func (m *Members) Watch(f func(Event)) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.watchers = append(m.watchers, f)
	for _, one := range m.List() {
		if !one.Self {
			f(Event{Kind: Joined, Member: one})
		}
	}
}

// Gone says that another member's process has ended for good. It is for its supervisor, who knows at once; all other members are told.
func (m *Members) Gone(uid, reason string) {
	if uid == m.uid {
		return
	}
	m.remove(uid, nil, "supervisor", reason)
	if m.options.Bus == nil {
		return
	}
	h := m.hello()
	h.Gone, h.Why = uid, reason
	if err := m.send(h); err != nil {
		m.options.Log.Debug("a member's end could not be told: the others will notice it", "uid", uid, "error", err)
	}
}

// Hello has this process say hello now, because its state has changed. It does not wait.
func (m *Members) Hello() {
	select {
	case m.wake <- struct{}{}:
	default: // Somebody has asked already.
	}
}

// The pace.
const (
	helloInterval = 500 * time.Millisecond
	tick          = 100 * time.Millisecond
	endedTime     = time.Minute // In which what somebody said before it ended may still be under way.
	maxMembers    = 1000        // Hellos of more are ignored: so many processes are a fault.
	garbagePause  = time.Minute // Between two warnings.
)

// Run takes part until ctx ends; then it says goodbye.
func (m *Members) Run(ctx context.Context) error {
	if m.options.Bus == nil {
		<-ctx.Done()
		return nil
	}
	unhandle, err := m.options.Bus.Handle("node."+m.uid+".ping", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer unhandle()
	silence, err := m.options.Bus.Listen(helloSubject, m.hear)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer m.pings.Wait()
	defer silence()
	m.beat(ctx)
	bye := m.hello()
	bye.Bye = "it was stopped"
	if err := m.send(bye); err != nil {
		m.options.Log.Debug("the others could not be told goodbye", "error", err)
	}
	return nil
}

// beat says hello and watches the others until ctx ends.
func (m *Members) beat(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last, said := time.Now(), time.Time{}
	for {
		if now := time.Now(); now.Sub(said) >= helloInterval-tick/2 {
			said = now
			m.greet(false)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			said = time.Now()
			m.greet(true)
		case <-ticker.C:
			now := time.Now()
			m.judge(ctx, now.Sub(last))
			last = now
		}
	}
}

// greet says hello, and asks the others to do so as long as this process does not hear itself: it is new, or was cut off. An answer to
// who asked does not ask in turn.
func (m *Members) greet(answer bool) {
	h := m.hello()
	m.mu.Lock()
	h.Ask = m.echo.IsZero() && !answer
	m.mu.Unlock()
	if err := m.send(h); err != nil {
		m.options.Log.Debug("hello could not be said", "error", err)
	}
}

func (m *Members) hello() *hello {
	return &hello{Format: helloFormat, Bus: bus.Version, Now: time.Now().UnixMilli(), Member: m.options.Self()}
}

func (m *Members) send(h *hello) error {
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return m.options.Bus.Publish(helloSubject, body)
}
