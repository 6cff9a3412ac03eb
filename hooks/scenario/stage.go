package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// Load is what a plugin is to be loaded with.
type Load struct {
	Config   map[string]any
	Rights   host.Rights
	Services *host.Services
	Log      *slog.Logger
}

// Loader loads the plugin that scenarios are about; the caller closes it. It may be called again and again. It gives up when ctx ends.
type Loader func(ctx context.Context, l Load) (hooks.Plugin, error)

// Stage is a loaded plugin with what a scenario puts around it.
type Stage struct {
	Plugin hooks.Plugin

	scenario *Scenario
	chain    *hooks.Chain
	backend  *backend
	kv       *host.Memory
	log      *logbook
	web      *web
	replacer *strings.Replacer
	fault    atomic.Pointer[error] // Of the last event; nil: none.

	stop    context.CancelFunc
	serving sync.WaitGroup
}

// Empty is a scenario in which nothing is said but what the plugin is loaded with.
func Empty(config map[string]any, rights host.Rights) *Scenario {
	return &Scenario{Name: "empty", config: config, rights: rights, deadline: defaultDeadline}
}

// Open loads the plugin. An error leaves nothing behind.
func (s *Scenario) Open(ctx context.Context, load Loader) (*Stage, error) {
	st := &Stage{scenario: s, backend: newBackend(), kv: host.NewMemory(), log: &logbook{}}
	services := host.New(host.Options{KV: st.kv, Metrics: st.backend})
	services.Serve(st.backend)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	st.stop = stop
	st.serving.Go(func() { services.Run(running) })
	if err := st.open(ctx, services, load); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

func (st *Stage) open(ctx context.Context, services *host.Services, load Loader) (err error) {
	if !until(ctx, services.Running) {
		return errors.New("this machine is too busy, or the test was ended")
	}
	if st.web, err = startWeb(); err != nil {
		return err
	}
	s := st.scenario
	st.replacer = strings.NewReplacer("${http.url}", "http://"+st.web.host, "${http.host}", st.web.host)
	rights := s.rights
	rights.HTTP = nil
	for _, name := range s.rights.HTTP {
		rights.HTTP = append(rights.HTTP, st.replacer.Replace(name))
	}
	config, _ := expandAll(s.config, st.replacer).(map[string]any)
	st.Plugin, err = load(ctx, Load{Config: config, Rights: rights, Services: services, Log: slog.New(st.log)})
	if err != nil {
		return &LoadError{err}
	}
	// The breaker never opens: every step is to show what it leads to.
	st.chain = hooks.NewChain([]hooks.Link{{Plugin: st.Plugin, Deadline: s.deadline}}, st)
	for key, v := range s.kv {
		if _, err := st.kv.Set(ctx, st.Plugin.Name(), key, v.expand(st.replacer).bytes(), 0); err != nil {
			return &lineError{v.line, "kv: " + err.Error()}
		}
	}
	return nil
}

// LoadError says that a plugin could not be loaded.
type LoadError struct{ error }

// Unwrap returns the reason.
func (e *LoadError) Unwrap() error { return e.error }

// Close unloads the plugin.
func (st *Stage) Close() error {
	var err error
	if st.chain != nil {
		err = st.chain.Close()
	}
	if st.web != nil {
		st.web.close()
	}
	st.stop()
	st.serving.Wait()
	return err
}

// Decided implements hooks.Observer.
func (st *Stage) Decided(d hooks.Decision) {
	if d.Fault != nil {
		st.fault.Store(&d.Fault)
	}
}

// Hooks are those the plugin wants.
func (st *Stage) Hooks() []hooks.Hook { return st.chain.Plugins()[0].Hooks }

// Ask asks the plugin about an event. A fault is the plugin's; of several events that are asked about at the same time, it may be another's.
func (st *Stage) Ask(ctx context.Context, e Event) (a hooks.Answer, fault error) {
	st.fault.Store(nil)
	a = e.Ask(ctx, st.chain)
	if f := st.fault.Load(); f != nil {
		fault = *f
	}
	return a, fault
}

// Ignore has the stage write down nothing more of what the plugin does: it may be asked without end.
func (st *Stage) Ignore() { st.backend.ignore() }

// First returns the event of the first step of the scenario about a hook, and answers requests to web servers from now on as that step
// says. Of scenarios without such a step it returns nil.
func (st *Stage) First(hook hooks.Hook) (Event, error) {
	for _, s := range st.scenario.steps {
		if s.hook == hook {
			e, err := st.event(s)
			st.web.expect(s.web, false)
			return e, err
		}
	}
	return nil, nil
}

// event makes the event of a step.
func (st *Stage) event(s *step) (Event, error) {
	e, now := newEvent(s.hook), time.Now()
	for name, v := range s.event {
		v = v.expand(st.replacer)
		if name == "token" && v.IsJSON && strings.HasPrefix(v.Text, "{") {
			token, err := st.sign(v, now)
			if err != nil {
				return nil, &lineError{v.line, err.Error()}
			}
			v = textValue(token)
		}
		if err := e.set(name, v, now); err != nil {
			return nil, &lineError{v.line, err.Error()}
		}
	}
	return e, nil
}

// sign makes a token with one of the scenario's keys.
func (st *Stage) sign(v Value, now time.Time) (string, error) {
	var order struct {
		Sign   string
		Claims map[string]any
	}
	d := json.NewDecoder(strings.NewReader(v.Text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if d.Decode(&order) != nil || order.Sign == "" || order.Claims == nil {
		return "", fmt.Errorf("token: want a text, or what it is made of: {sign: NAME OF A KEY, claims: {sub: alice, exp: now+1h}}; not %s", v)
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		text, ok := order.Claims[name].(string)
		if !ok {
			continue
		}
		at, err := textValue(text).integer(now)
		if err != nil {
			return "", fmt.Errorf("token: %s: %w", name, err)
		}
		order.Claims[name] = at
	}
	signer, err := host.NewPlugin(nil, "scenario", host.Rights{JWT: true, Keys: st.scenario.rights.Keys}, host.NewLog(nil, "scenario"))
	if err != nil {
		return "", err
	}
	defer signer.Close()
	for _, f := range host.Functions() {
		if f.Name == "jwt_sign" {
			c := &host.Call{Deadline: now.Add(settleTimeout)}
			c.Args[0].Text, c.Args[1].Text = toJSON(order.Claims), order.Sign
			err := signer.Call(f, c)
			if err != nil {
				return "", fmt.Errorf("token: %w", err)
			}
			return c.Results[0].Text, nil
		}
	}
	return "", errors.New("token: the server has no jwt_sign")
}

// About says whether a scenario has a step about a hook.
func (s *Scenario) About(hook hooks.Hook) bool {
	return slices.ContainsFunc(s.steps, func(s *step) bool { return s.hook == hook })
}
