package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/hooks"
)

// Rights are what a plugin may have the server do for it. The zero value is nothing.
type Rights struct {
	KV          bool     `json:"kv,omitempty"`
	HTTP        []string `json:"http,omitempty"` // Hosts; see ParseHosts.
	Publish     bool     `json:"publish,omitempty"`
	Unsubscribe bool     `json:"unsubscribe,omitempty"`
	Disconnect  bool     `json:"disconnect,omitempty"`
	JWT         bool     `json:"jwt,omitempty"`
	Password    bool     `json:"password,omitempty"`

	Keys map[string]Key `json:"keys,omitempty"` // For jwt_sign and jwt_verify, by their names.
}

// Plugin is a plugin's way to the functions, shared by its instances. It is safe for concurrent use.
type Plugin struct {
	name     string
	services *Services
	log      *Log
	rights   map[string]bool
	keys     map[string]*signer
	web      *web // nil: without the right.
	counters [][results]atomic.Pointer[counterBox]

	mu      sync.Mutex
	metrics map[string]Counter // By the names the plugin has chosen.
}

type counterBox struct{ Counter }

// What became of a call.
const (
	resultOK = iota
	resultAbsent
	resultFailed
	resultFault
	results
)

var resultNames = [results]string{"ok", "absent", "failed", "fault"}

// NewPlugin gives a plugin its rights. Keys and hosts that cannot be used are an error. services may be
// nil, for a plugin without rights, and so may log.
func NewPlugin(services *Services, plugin string, rights Rights, log *Log) (*Plugin, error) {
	p := &Plugin{
		name: plugin, services: services, log: log, counters: make([][results]atomic.Pointer[counterBox], len(functions)),
		metrics: map[string]Counter{}, rights: map[string]bool{
			rightKV: rights.KV, rightHTTP: len(rights.HTTP) > 0, rightPublish: rights.Publish, rightUnsubscribe: rights.Unsubscribe,
			rightDisconnect: rights.Disconnect, rightJWT: rights.JWT, rightPassword: rights.Password,
		},
	}
	if services == nil {
		p.services = New(Options{})
	}
	if log == nil {
		p.log = NewLog(nil, plugin)
	}
	var errs []error
	var err error
	if p.keys, err = signers(rights.Keys); err != nil {
		errs = append(errs, err)
	}
	if len(rights.HTTP) > 0 {
		hosts, err := ParseHosts(rights.HTTP)
		if err != nil {
			errs = append(errs, fmt.Errorf("allow.http: %w", err))
		}
		p.web = newWeb(hosts)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Close gives back what the plugin's calls have left open. No call may be running.
func (p *Plugin) Close() {
	if p.web != nil {
		p.web.close()
	}
}

// Instances tells the metrics that the plugin has more, or fewer, instances.
func (p *Plugin) Instances(change int) { p.services.metrics.PluginInstances(p.name, change) }

// Call carries a function out. It returns soon after c.Deadline, and holds no lock while it waits. The error is ErrAbsent, a Failure, or
// a fault; one that wraps context.DeadlineExceeded came with the deadline.
func (p *Plugin) Call(f *Function, c *Call) error {
	c.Results = [MaxResults]Value{}
	err := p.call(f, c)
	result := resultOK
	if err != nil {
		_, failed := errors.AsType[Failure](err)
		switch {
		case errors.Is(err, ErrAbsent):
			result = resultAbsent
		case failed:
			result = resultFailed
		default:
			result = resultFault
		}
	}
	p.count(f, result)
	return err
}

func (p *Plugin) call(f *Function, c *Call) error {
	switch {
	case f.Right != "" && !p.rights[f.Right]:
		return fmt.Errorf("the plugin %s used %s without allow.%s", p.name, f.Name, f.Right)
	case c.Hook == "" && !f.anywhere:
		return failure("%s can be used in a hook only, not while the plugin is loaded", f.Name)
	}
	ctx := &lateContext{deadline: c.Deadline}
	defer ctx.end()
	err := f.run(ctx, p, c)
	if err != nil && ctx.Err() != nil { // Whatever it says, the time is the reason.
		return fmt.Errorf("%s: %w", f.Name, context.DeadlineExceeded)
	}
	return err
}

func (p *Plugin) count(f *Function, result int) {
	slot := &p.counters[f.index][result]
	box := slot.Load()
	if box == nil {
		box = &counterBox{p.services.metrics.PluginCalls(p.name, f.Name, resultNames[result])}
		slot.Store(box)
	}
	box.Add(1)
}

// outside refuses what would come back to the hook that does it.
func (c *Call) outside(refused ...hooks.Hook) error {
	for _, hook := range refused {
		if c.Hook == hook {
			return failure("this cannot be done in on_%s, which it would cause", hook)
		}
	}
	return nil
}

// lateContext is a context with a deadline that costs a timer only when somebody waits for it.
type lateContext struct {
	deadline time.Time

	mu     sync.Mutex
	inner  context.Context // nil: nobody has waited yet.
	cancel context.CancelFunc
	ended  bool
}

// Deadline implements context.Context.
func (l *lateContext) Deadline() (time.Time, bool) { return l.deadline, true }

// Done implements context.Context.
func (l *lateContext) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		l.inner, l.cancel = context.WithDeadline(context.Background(), l.deadline)
		if l.ended {
			l.cancel()
		}
	}
	return l.inner.Done()
}

// Err implements context.Context.
func (l *lateContext) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.inner != nil:
		return l.inner.Err()
	case l.ended:
		return context.Canceled
	case time.Now().Before(l.deadline):
		return nil
	}
	return context.DeadlineExceeded
}

// Value implements context.Context.
func (*lateContext) Value(any) any { return nil }

// end tells those who still wait that nobody is interested.
func (l *lateContext) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.cancel != nil {
		l.cancel()
	}
}
