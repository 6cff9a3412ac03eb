package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// The limits of a file.
const (
	MaxFile      = 1 << 20 // Bytes.
	maxScenarios = 1000
	maxSteps     = 1000 // Of a scenario.
	maxRepeat    = 10_000
	maxWait      = 10 * time.Second
	maxDeadline  = time.Minute
)

// defaultDeadline is the time a plugin has for an answer. It is far longer than a server's: a busy machine must not fail a test.
const defaultDeadline = 30 * time.Second

// File is a file of scenarios.
type File struct {
	Plugin    string // The plugin's file, relative to this one; empty: the one beside it.
	Scenarios []*Scenario
}

// Scenario is what happens to a freshly loaded plugin.
type Scenario struct {
	Name string
	Line int // In the file.

	config    map[string]any
	rights    host.Rights
	kv        map[string]Value // What is stored before it begins.
	deadline  time.Duration
	loadError string // What the plugin, instead of being loaded, must say; empty: it must be loaded.
	steps     []*step
}

// step is one event, or the same several times.
type step struct {
	line   int
	hook   hooks.Hook
	event  map[string]Value
	web    []exchange
	repeat int
	wait   time.Duration // Before it.
	expect expectation
}

// exchange is one request that the plugin is expected to make, and how it is answered.
type exchange struct {
	line    int
	method  string
	path    string // With the query.
	headers map[string]Value
	body    *Value // nil: whatever it is.
	answer  answer
}

type answer struct {
	status  int
	headers map[string]Value
	body    Value
	delay   time.Duration
}

// expectation is what a step leads to. What is nil is not looked at.
type expectation struct {
	line    int
	verdict string // allow, deny, drop, pass or fault.
	code    *int
	reason  *string
	fault   string           // A part of what the fault says.
	changes map[string]Value // nil: none, unless it was denied, dropped or a fault, where changes mean nothing.
	logs    []logLine
	kv      map[string]Value
	calls   []call
	metrics map[string]Value
}

// logLine is one line of the plugin's log.
type logLine struct {
	line  int
	level string // Empty: any.
	text  string // A part of it.
}

// call is one call of a function that acts on the server.
type call struct {
	line   int
	name   string // publish, unsubscribe or disconnect.
	fields map[string]Value
}

// Parse reads a file. Its errors say what is wrong in which line: "12: …".
func Parse(text []byte) (*File, error) {
	if len(text) > MaxFile {
		return nil, &lineError{1, fmt.Sprintf("the file is longer than %d bytes", MaxFile)}
	}
	n, err := document(text)
	if err != nil {
		return nil, err
	}
	f := &File{}
	common := Scenario{deadline: defaultDeadline, config: map[string]any{}}
	var keysOfAll map[string]host.Key
	var scenarios *yaml.Node
	err = object(n, "the file", keys{
		"plugin":    readText(&f.Plugin),
		"config":    readConfig(common.config),
		"allow":     readRights(&common.rights),
		"keys":      readKeys(&keysOfAll),
		"deadline":  readDuration(&common.deadline, maxDeadline),
		"scenarios": func(n *yaml.Node) error { scenarios = n; return nil },
	})
	if err != nil {
		return nil, err
	}
	common.rights.Keys = keysOfAll
	if scenarios == nil {
		return nil, wrong(n, "the file needs scenarios, a list")
	}
	err = list(scenarios, "scenarios", maxScenarios, func(i int, n *yaml.Node) error {
		s := common
		s.Line, s.Name = n.Line, fmt.Sprintf("scenario %d", i+1)
		s.config = maps.Clone(common.config)
		f.Scenarios = append(f.Scenarios, &s)
		return s.read(n)
	})
	if err == nil && len(f.Scenarios) == 0 {
		err = wrong(scenarios, "there are no scenarios in the list")
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// read reads a scenario. One with a single step may have that step's keys itself.
func (s *Scenario) read(n *yaml.Node) error {
	own := &step{line: n.Line, repeat: 1}
	var first string // A key of the step.
	var signing map[string]host.Key
	known := keys{
		"name": readText(&s.Name),
		"config": func(n *yaml.Node) error {
			return readConfig(s.config)(n)
		},
		"allow": func(n *yaml.Node) error {
			s.rights = host.Rights{Keys: s.rights.Keys}
			return readRights(&s.rights)(n)
		},
		"keys":       readKeys(&signing),
		"deadline":   readDuration(&s.deadline, maxDeadline),
		"load_error": readText(&s.loadError),
		"kv":         func(n *yaml.Node) error { s.kv = map[string]Value{}; return readValues(s.kv)(n) },
		"steps": func(n *yaml.Node) error {
			s.steps = []*step{}
			return list(n, "steps", maxSteps, func(_ int, n *yaml.Node) error {
				next := &step{line: n.Line, repeat: 1}
				if err := object(n, "a step", next.keys()); err != nil {
					return err
				}
				s.steps = append(s.steps, next)
				return next.check()
			})
		},
	}
	for name, read := range own.keys() {
		known[name] = func(n *yaml.Node) error {
			first = name
			return read(n)
		}
	}
	if err := object(n, "a scenario", known); err != nil {
		return err
	}
	if signing != nil {
		s.rights.Keys = signing
	}
	listed := s.steps != nil
	if first != "" {
		s.steps = append(s.steps, own)
	}
	switch {
	case first != "" && listed:
		return wrong(n, "a scenario has steps, or is itself a step with %s; not both", first)
	case len(s.steps) == 0 && s.loadError == "":
		return wrong(n, "the scenario %q has no steps: it needs hook and expect, or a list of steps, or load_error", s.Name)
	case len(s.steps) > 0 && s.loadError != "":
		return wrong(n, "nothing can happen to a plugin that is not loaded: load_error goes without steps")
	case first != "":
		return own.check()
	}
	return nil
}

func (s *step) keys() keys {
	return keys{
		"hook": func(n *yaml.Node) (err error) {
			s.hook, err = hookNamed(n.Value)
			return err
		},
		"event":  func(n *yaml.Node) error { s.event = map[string]Value{}; return readValues(s.event)(n) },
		"http":   s.readWeb,
		"repeat": readInt(&s.repeat, 1, maxRepeat),
		"wait":   readDuration(&s.wait, maxWait),
		"expect": func(n *yaml.Node) error {
			s.expect.line = n.Line
			return object(n, "expect", s.expect.keys())
		},
	}
}

// check looks at what only makes sense together.
func (s *step) check() error {
	switch {
	case s.hook == "":
		return &lineError{s.line, "a step needs a hook, such as hook: publish"}
	case s.expect.line == 0:
		return &lineError{s.line, "a step needs expect, such as expect: {verdict: allow}"}
	case s.expect.verdict == "":
		return &lineError{s.expect.line, "expect needs a verdict: allow, deny, drop, pass or fault"}
	case s.expect.verdict != "deny" && (s.expect.code != nil || s.expect.reason != nil):
		return &lineError{s.expect.line, "code and reason go with verdict: deny"}
	case s.expect.verdict != "fault" && s.expect.fault != "":
		return &lineError{s.expect.line, "fault goes with verdict: fault"}
	}
	for _, name := range slices.Sorted(maps.Keys(s.event)) {
		if err := checkField(s.hook, name, false); err != nil {
			return at(s.event[name].line, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.expect.changes)) {
		if err := checkField(s.hook, name, true); err != nil {
			return at(s.expect.changes[name].line, err)
		}
	}
	return nil
}

func (x *expectation) keys() keys {
	return keys{
		"verdict": oneOf(&x.verdict, "allow", "deny", "drop", "pass", "fault"),
		"code":    func(n *yaml.Node) error { x.code = new(int); return readInt(x.code, 1, 4999)(n) },
		"reason":  func(n *yaml.Node) error { x.reason = new(string); return readText(x.reason)(n) },
		"fault":   readText(&x.fault),
		"changes": func(n *yaml.Node) error { x.changes = map[string]Value{}; return readValues(x.changes)(n) },
		"kv":      func(n *yaml.Node) error { x.kv = map[string]Value{}; return readValues(x.kv)(n) },
		"metrics": func(n *yaml.Node) error { x.metrics = map[string]Value{}; return readValues(x.metrics)(n) },
		"logs": func(n *yaml.Node) error {
			x.logs = []logLine{}
			return list(n, "logs", maxSteps, func(_ int, n *yaml.Node) error {
				l := logLine{line: n.Line}
				err := readText(&l.text)(n)
				if n.Kind == yaml.MappingNode {
					err = object(n, "a log line", keys{"level": oneOf(&l.level, "debug", "info", "warn", "error"), "text": readText(&l.text)})
				}
				x.logs = append(x.logs, l)
				return err
			})
		},
		"calls": func(n *yaml.Node) error {
			return list(n, "calls", maxSteps, func(_ int, n *yaml.Node) error {
				c := call{line: n.Line, fields: map[string]Value{}}
				err := object(n, "a call", keys{
					"publish":     c.reader("publish", "channel", "data", "tags"),
					"unsubscribe": c.reader("unsubscribe", "user", "client", "channel"),
					"disconnect":  c.reader("disconnect", "user", "client", "code", "reason"),
				})
				if err == nil && c.name == "" {
					err = wrong(n, "a call is one of publish, unsubscribe and disconnect, such as publish: {channel: news}")
				}
				x.calls = append(x.calls, c)
				return err
			})
		},
	}
}

func (c *call) reader(name string, fields ...string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if c.name != "" {
			return wrong(n, "each call is an item of the list")
		}
		c.name = name
		known := keys{}
		for _, field := range fields {
			known[field] = func(n *yaml.Node) error {
				var v Value
				err := readValue(&v)(n)
				c.fields[field] = v
				return err
			}
		}
		return object(n, "the call "+name, known)
	}
}

func oneOf(to *string, words ...string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		for _, word := range words {
			if n.Kind == yaml.ScalarNode && n.Value == word {
				*to = word
				return nil
			}
		}
		return wrong(n, "want one of %q, not %s", words, kindOf(n))
	}
}

func (s *step) readWeb(n *yaml.Node) error {
	return list(n, "http", maxSteps, func(_ int, n *yaml.Node) error {
		e := exchange{line: n.Line, method: "GET", headers: map[string]Value{}, answer: answer{status: 200, headers: map[string]Value{}}}
		err := object(n, "an exchange", keys{
			"method":  readText(&e.method),
			"path":    readText(&e.path),
			"headers": readValues(e.headers),
			"body":    func(n *yaml.Node) error { e.body = new(Value); return readValue(e.body)(n) },
			"answer": func(n *yaml.Node) error {
				return object(n, "an answer", keys{
					"status":  readInt(&e.answer.status, 200, 599),
					"headers": readValues(e.answer.headers),
					"body":    readValue(&e.answer.body),
					"delay":   readDuration(&e.answer.delay, maxWait),
				})
			},
		})
		if err == nil && (e.path == "" || e.path[0] != '/') {
			err = wrong(n, "an exchange needs the path that is asked for, with its query, such as path: /users?id=1")
		}
		s.web = append(s.web, e)
		return err
	})
}

// readConfig reads a configuration; its keys replace those that are there already.
func readConfig(to map[string]any) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return each(n, "config", func(key, value *yaml.Node) (err error) {
			to[key.Value], err = plain(value)
			return err
		})
	}
}

// readRights reads what plugins.load[].allow has in a configuration.
func readRights(r *host.Rights) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return object(n, "allow", keys{
			"kv": readBool(&r.KV), "http": readTexts(&r.HTTP), "publish": readBool(&r.Publish), "unsubscribe": readBool(&r.Unsubscribe),
			"disconnect": readBool(&r.Disconnect), "jwt": readBool(&r.JWT), "password": readBool(&r.Password),
		})
	}
}

// readKeys reads what plugins.load[].keys has in a configuration; the PEM is not a file, but here.
func readKeys(to *map[string]host.Key) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*to = map[string]host.Key{}
		return list(n, "keys", maxSteps, func(_ int, n *yaml.Node) error {
			var name string
			var k host.Key
			err := object(n, "a key", keys{
				"name": readText(&name), "algorithm": readText(&k.Algorithm), "secret": readText(&k.Secret), "pem": readText(&k.PEM),
			})
			if err == nil && name == "" {
				err = wrong(n, "a key needs a name")
			}
			(*to)[name] = k
			return err
		})
	}
}

// Line returns the line that an error of Parse names, or 1, and the error without it.
func Line(err error) (line int, text string) {
	if l, ok := errors.AsType[*lineError](err); ok {
		return cmp.Or(l.line, 1), l.text
	}
	return 1, err.Error()
}
