package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// Event is an event of one hook. It can be asked about again and again, and is then always the same: what a plugin has written is forgotten.
// It is for one goroutine at a time.
type Event interface {
	// Ask asks the plugins of a chain about the event.
	Ask(ctx context.Context, c *hooks.Chain) hooks.Answer

	set(name string, v Value, now time.Time) error
	want(name string, v Value, now time.Time) (Value, error) // An expectation, in the form of what changed returns.
	changed() map[string]Value                               // What the last Ask has changed.
	value(name string) Value                                 // A field after the last Ask.
}

// field is how a field of an event of kind E is read and written. What is nil cannot be done.
type field[E any] struct {
	set  func(e *E, v Value, now time.Time) error // As the server would, before a plugin is asked.
	get  func(e *E) Value                         // What a plugin has made of it.
	want func(v Value, now time.Time) (Value, error)
}

// event implements Event.
type event[E any] struct {
	before, after E
	ask           func(c *hooks.Chain, ctx context.Context, e *E) hooks.Answer
	fields        map[string]field[E]
}

func (e *event[E]) Ask(ctx context.Context, c *hooks.Chain) hooks.Answer {
	e.after = e.before
	return e.ask(c, ctx, &e.after)
}

func (e *event[E]) set(name string, v Value, now time.Time) error {
	f, ok := e.fields[name]
	if !ok || f.set == nil {
		return fmt.Errorf("%s cannot be given", name)
	}
	if err := f.set(&e.before, v, now); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (e *event[E]) want(name string, v Value, now time.Time) (Value, error) {
	if f := e.fields[name]; f.want != nil {
		return f.want(v, now)
	}
	return v, nil
}

func (e *event[E]) changed() map[string]Value {
	changes := map[string]Value{}
	for name, f := range e.fields {
		if f.get == nil {
			continue
		}
		if before, after := f.get(&e.before), f.get(&e.after); before != after {
			changes[name] = after
		}
	}
	return changes
}

func (e *event[E]) value(name string) Value {
	if f := e.fields[name]; f.get != nil {
		return f.get(&e.after)
	}
	return Value{Absent: true}
}

// fieldsOf names the fields that a hook has, and those of them that a plugin may write.
func fieldsOf(hook hooks.Hook) (readable, writable []string) {
	for _, d := range host.Fields() {
		access := d.Hooks[hook]
		if access&host.Read != 0 {
			readable = append(readable, d.Name)
		}
		if access&host.Write != 0 && d.Field != host.FieldHeader {
			writable = append(writable, d.Name)
		}
	}
	return readable, writable
}

// checkField says whether a hook's event has a field, or which it has.
func checkField(hook hooks.Hook, name string, written bool) error {
	names, writable := fieldsOf(hook)
	what := "has no field"
	if written {
		names, what = writable, "lets no plugin write"
	}
	if slices.Contains(names, name) {
		return nil
	}
	if len(names) == 0 {
		return fmt.Errorf("an event of %s %s %s", hook, what, name)
	}
	return fmt.Errorf("an event of %s %s %s%s; there are %s", hook, what, name, host.DidYouMean(name, names), strings.Join(names, ", "))
}

// hookNamed finds a hook by its name, with or without on_.
func hookNamed(name string) (hooks.Hook, error) {
	hook := hooks.Hook(strings.TrimPrefix(name, "on_"))
	if slices.Contains(hooks.All[:], hook) {
		return hook, nil
	}
	names := make([]string, len(hooks.All))
	for i, h := range hooks.All {
		names[i] = string(h)
	}
	return "", fmt.Errorf("there is no hook %q%s; the hooks are %s", name, host.DidYouMean(string(hook), names), strings.Join(names, ", "))
}

// Sample is an event as it is common.
func Sample(hook hooks.Hook) Event {
	e := newEvent(hook)
	now := time.Now()
	for _, f := range sampleFields {
		if checkField(hook, f.name, false) == nil {
			if err := e.set(f.name, f.value, now); err != nil {
				panic("scenario: the sample event of " + string(hook) + ": " + err.Error())
			}
		}
	}
	return e
}

// sampleFields are the fields of samples. Where a hook has other fields, or none of a name, it is left out.
var sampleFields = []struct {
	name  string
	value Value
}{
	{"user", textValue("alice")},
	{"info", Value{Text: `{"name":"Alice"}`, IsJSON: true}},
	{"channel", textValue("room:1")},
	{"namespace", textValue("room")},
	{"data", Value{Text: `{"text":"Hello, how are you?"}`, IsJSON: true}},
	{"tags", Value{Text: `{"lang":"en"}`, IsJSON: true}},
	{"method", textValue("sample")},
	{"payload", Value{Text: `{"text":"Hello, how are you?"}`, IsJSON: true}},
	{"reason", textValue("connection closed")},
}
