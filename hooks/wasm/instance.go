package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// initDeadline is the time an instance has to initialize itself, and a call has whose context has no deadline. Standstills do not count.
const initDeadline = 5 * time.Second

// hostUnits is the work of host functions between two looks at the clock, in units of about a hundred nanoseconds.
const hostUnits = 1000

// instance is one instantiated module. It answers one call at a time, and is not used again once a call of it was cut off or trapped:
// nobody knows what state it is in.
//
// It is also the context of its calls: the runtime hands it to the host functions, which so find their instance without a search.
type instance struct {
	code   *code
	module api.Module
	hooks  [host.Seats]api.Function // nil: not exported.
	stack  [1]uint64

	// Of the running call.
	event    event // nil: none is running.
	deadline time.Time
	patient  bool // The deadline moves by the time in which the module could not run.
	stood    host.Standstill
	work     int   // Units that host functions may spend until the next look at the clock.
	fault    error // Why the call was cut off.
	rejected bool
	denial   hooks.Answer
	refused  error  // The last write to a field that was refused.
	header   string // The name of the header to be read.
	scratch  [8]byte
	output   [2]line // Standard output and error.
	spent    bool    // The instance must not be used again.
	hook     hooks.Hook
	call     host.Call      // Of a function of the server.
	called   *host.Function // Whose results are in call; nil: none.

	connect      connectEvent
	refresh      refreshEvent
	subscription subscribeEvent
	channel      channelEvent
	publication  publishEvent
	procedure    rpcEvent
	message      sendEvent
	left         unsubscribeEvent
	gone         disconnectEvent
	record       auditEvent
}

// newInstance makes an instance and lets it initialize itself, within initDeadline.
func newInstance(c *code) (*instance, error) {
	in := &instance{code: c, work: hostUnits}
	in.unhurried(time.Now())
	in.output[0].level, in.output[1].level = slog.LevelInfo, slog.LevelWarn
	// Without a name there may be any number of them. Reactors, such as Go's, initialize themselves in _initialize.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	module, err := c.runtime.InstantiateModule(in, c.compiled, config)
	in.flush()
	if err != nil {
		return nil, fmt.Errorf("while it was initialized: %w", in.explain(err))
	}
	in.module = module
	in.forget()
	for seat, s := range host.Seating {
		in.hooks[seat] = module.ExportedFunction(s.Function) // Allocates: once is enough.
	}
	return in, nil
}

// Broken implements host.Instance.
func (in *instance) Broken() bool { return in.spent }

// Close implements host.Instance.
func (in *instance) Close() {
	in.module.Close(context.Background()) //nolint:errcheck // It frees memory, and cannot fail.
	in.code.host.Instances(-1)
}

// Answer implements host.Answering: it asks the module about an event.
func (in *instance) Answer(ctx context.Context, seat int, about any) (hooks.Answer, error) {
	ev := in.bind(about)
	f := in.hooks[seat]
	if f == nil {
		ev.reset()
		return hooks.Answer{Verdict: hooks.Pass}, nil
	}
	in.event, in.hook, in.work = ev, host.Seating[seat].Hook, hostUnits
	in.deadline, _ = ctx.Deadline() // None: see check.
	in.patient = false
	in.spent = true // Unless it returns. A panic of the runtime leaves it so.
	err := f.CallWithStack(in, in.stack[:])
	var answer hooks.Answer
	if err == nil {
		in.spent = false
		answer, err = in.verdict(api.DecodeI32(in.stack[0]))
		answer.Modified = ev.modified()
	}
	if in.output[0].text != nil || in.output[1].text != nil {
		in.flush()
	}
	if err != nil {
		err = in.explain(err)
	}
	ev.reset()
	in.forget()
	in.event, in.refused, in.header = nil, nil, ""
	in.output[1].first = ""
	if in.rejected {
		in.rejected, in.denial = false, hooks.Answer{}
	}
	return answer, err
}

// verdict reads what a hook returned. What is none is a mistake in the plugin, and not to be guessed at.
func (in *instance) verdict(v int32) (hooks.Answer, error) {
	switch {
	case v < 0 || v > int32(hooks.Pass):
		return hooks.Answer{}, fmt.Errorf("returned %d, which is no verdict: 0 allows, 1 denies, 2 drops, 3 passes", v)
	case !in.rejected:
		return hooks.Answer{Verdict: hooks.Verdict(v)}, nil
	case hooks.Verdict(v) != hooks.Deny:
		return hooks.Answer{}, fmt.Errorf("called reject and returned %d; after reject comes 1, which denies", v)
	}
	return in.denial, nil
}

// spend counts work of host functions, and cuts the call off when its time is over.
func (in *instance) spend(units int) {
	if in.work -= units; in.work < 0 {
		in.check()
	}
}

// spendBytes counts work that touches n bytes once.
func (in *instance) spendBytes(n int) { in.spend(1 + n>>10) }

// check cuts the call off when its time is over.
func (in *instance) check() {
	in.work = hostUnits
	now := time.Now()
	switch {
	case in.deadline.IsZero():
		in.unhurried(now)
	case in.patient:
		in.deadline = in.deadline.Add(in.stood.Lost(now))
	}
	if now.After(in.deadline) {
		in.abort(context.DeadlineExceeded)
	}
}

// unhurried gives a call that nobody waits for initDeadline from now on.
func (in *instance) unhurried(now time.Time) {
	in.deadline, in.patient = now.Add(initDeadline), true
	in.stood.Begin(now)
}

// abort ends the call: it unwinds the guest up to the runtime.
func (in *instance) abort(fault error) {
	in.fault = fault
	panic(fault)
}

// explain makes a fault of what the runtime says: one line, which names what the plugin did.
func (in *instance) explain(err error) error {
	if in.fault != nil {
		err = in.fault
	} else if first, _, trapped := strings.Cut(err.Error(), "\nwasm stack trace:"); trapped {
		_, trap, _ := strings.Cut(first, "wasm error: ")
		err = errors.New("trapped: " + cmp.Or(trap, first))
	}
	if said := in.output[1].first; said != "" && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w, saying: %s", err, said)
	}
	if in.refused != nil {
		err = fmt.Errorf("%w (before that: %w)", err, in.refused)
	}
	return err
}

// Deadline, Done, Err and Value make the instance a context.Context. The runtime asks for values only.
func (in *instance) Deadline() (time.Time, bool) { return in.deadline, !in.deadline.IsZero() }

// Done implements context.Context. The deadline is kept by check.
func (*instance) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*instance) Err() error { return nil }

// Value implements context.Context.
func (*instance) Value(any) any { return nil }

// maxLine is where a line of output is broken.
const maxLine = 4096

// line is output that waits for the end of its line.
type line struct {
	level slog.Level
	text  []byte
	first string // The first line of the call.
}

// print takes output, and writes whole lines to the log.
func (in *instance) print(l *line, b []byte) {
	for _, c := range b {
		if c != '\n' {
			l.text = append(l.text, c)
		}
		if c == '\n' || len(l.text) >= maxLine {
			in.writeLine(l)
		}
	}
}

func (in *instance) writeLine(l *line) {
	if len(l.text) > 0 {
		text := string(l.text)
		if l.first == "" {
			l.first = text
		}
		in.code.log.Write(l.level, text)
	}
	l.text = l.text[:0]
}

// flush writes what the call left without an end of line.
func (in *instance) flush() {
	for i := range in.output {
		in.writeLine(&in.output[i])
		in.output[i].text = nil
	}
}

var _ host.Instance = (*instance)(nil)
