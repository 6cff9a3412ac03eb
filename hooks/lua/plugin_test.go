package lua_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
)

func TestLoad(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"syntax", "function on_publish(ev)\n  if then\nend", `my.lua:2: syntax error near "then"`},
		{"end of file", "function on_publish(ev)\n  return true\n", "my.lua:2: syntax error at the end of the file"},
		{"lexical", "x = 'abc\n", "unterminated string"},
		{"goto nowhere", "function on_publish(ev)\n goto out\nend", "my.lua:"},
		{"break outside", "break", "my.lua:1: "},
		{"runtime error", "\nlocal t = nil\nt.x = 1", "my.lua:3: attempt to index"},
		{"top level spins", "while true do end", "my.lua:1: no answer within the deadline"},
		{"no hook", "local x = 1", "my.lua: defines no hook; the hooks are on_connect, on_refresh, on_subscribe, on_channel, on_publish, on_rpc, " +
			"on_send, on_unsubscribe, on_disconnect, on_audit"},
		{"empty", "", "my.lua: defines no hook"},
		{"unknown hook", "function on_publsh(ev) end", "my.lua: there is no hook on_publsh (did you mean on_publish?)"},
		{"unknown hook beside a known one", "function on_rpc(ev) end function on_message(ev) end", "there is no hook on_message;"},
		{"camel case", "function on_rpc(ev) end function onPublish(ev) end", "there is no hook onPublish (did you mean on_publish?)"},
		{"no function", "function on_rpc(ev) end on_publish = true", "on_publish is a boolean, not a function"},
		{"local hook", "function on_rpc(ev) end\nlocal function on_publish(ev) end", "my.lua:2: on_publish is a local function"},
		{"too long", strings.Repeat("-", 1<<20+1), "my.lua: longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := lua.LoadSource("my.lua", []byte(tt.script), lua.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), "my.lua:") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %q", p, err, tt.want)
			}
		})
	}
	t.Run("missing file", func(t *testing.T) {
		if _, err := lua.Load(filepath.Join(t.TempDir(), "no.lua"), lua.Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v, want os.ErrNotExist", err)
		}
	})
	t.Run("good file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "good.lua")
		if err := os.WriteFile(path, []byte("function on_rpc(ev) return true end\nfunction on_connect(ev) end"), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := lua.Load(path, lua.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Name() != "good" || !slices.Equal(p.Hooks(), []hooks.Hook{hooks.OnConnect, hooks.OnRPC}) {
			t.Errorf("name %q, hooks %v", p.Name(), p.Hooks())
		}
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		if _, err := p.Connect(t.Context(), &hooks.Connect{}); err == nil {
			t.Error("a closed plugin answers")
		}
	})
	t.Run("configuration no script can hold", func(t *testing.T) {
		_, err := lua.LoadSource("my.lua", []byte("function on_rpc(ev) end"), lua.Options{Config: map[string]any{"a": []any{make(chan int)}}})
		if err == nil || !strings.Contains(err.Error(), "my.lua: config.a[1]: a chan int cannot be handed to Lua") {
			t.Error(err)
		}
	})
}

// What a script does wrong with its event or its answer is a fault that says what would have been right.
func TestFaults(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"unknown field", `return ev.chanel`, `m.lua:1: this event has no field "chanel" (did you mean channel?); it has channel, data, tags, id, redirect, expire_at, ` +
			`skip_history, exclude_sender, client`},
		{"field of another hook", `return ev.token`, `no field "token"`},
		{"unknown field written", `ev.dat = "x"`, `the field "dat" cannot be written (did you mean data?); writable here: data, tags`},
		{"read-only field", `ev.user = "bob"`, `the field "user" cannot be written; writable here: data, tags`},
		{"a table as data", `ev.data = {}`, "data must be a string, not a table; json.encode"},
		{"no data", `ev.data = nil`, "data must be a string, not a nil"},
		{"tags that are no table", `ev.tags = "x"`, "tags must be a table"},
		{"a tag that is no string", `ev.tags = {a = 1}`, "a tag's value must be a string, not a number"},
		{"a tag that is no UTF-8", `ev.tags = {a = "\255"}`, "not valid UTF-8"},
		{"method without colon", `return ev.header("X")`, "with a colon"},
		{"method of another hook", `return ev:subscribe("x")`, `no field "subscribe"`},
		{"a number", `return 1`, `returned 1; a hook returns true, false, nothing`},
		{"a word", `return "deny"`, `returned "deny"; a hook returns`},
		{"true and more", `return true, "x"`, `returned true and then "x", which means nothing`},
		{"nil and more", `return nil, "x"`, `returned nil and then "x"`},
		{"drop and more", `return "drop", 1`, `returned "drop" and then 1`},
		{"a bad code", `return false, 1.5`, `returned false and 1.5; after false come`},
		{"a negative code", `return false, -1`, `returned false and -1`},
		{"a bad reason", `return false, 403, {}`, `returned a table as the reason`},
		{"reason before code", `return false, "x", 403`, `and then 403`},
		{"nil in a concatenation", `return "x" .. nil`, "attempt to concatenate a nil value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := lua.LoadSource("m.lua", []byte("function on_publish(ev) "+tt.body+" end"), lua.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.Publish(t.Context(), hooktest.NewPublish("x")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("fault %v, want %q", err, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, body, want string }{
		{"user", `ev.user = 7`, "user must be a string, not a number"},
		{"info", `ev.info = {}`, "info must be a string that holds JSON, not a table"},
		{"expire_at", `ev.expire_at = 1.5`, "expire_at must be whole seconds"},
		{"channel", `ev:subscribe("")`, "must be UTF-8 and not empty"},
		{"grant of nothing", `ev:grant{channels = {"a"}}`, "ev:grant needs channels and allow"},
		{"unknown permission", `ev:grant{channels = {"a"}, allow = {"all"}}`, `unknown permission "all"`},
		{"unknown field of a grant", `ev:grant{channel = {"a"}, allow = {"sub"}}`, `ev:grant has no field "channel"`},
		{"bad pattern", `ev:grant{channels = {"("}, match = "regex", allow = {"sub"}}`, "channel pattern"},
	} {
		t.Run("connect "+tt.name, func(t *testing.T) {
			p := loadScript(t, "function on_connect(ev) "+tt.body+" end", lua.Options{})
			if _, err := p.Connect(t.Context(), &hooks.Connect{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("fault %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	p := loadScript(t, `
		function on_publish(ev)
			log.warn("careful") print("a", 1, nil)
			for i = 1, 1000 do log.info(("x"):rep(5000)) end;
		end`, lua.Options{Name: "talker", Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if !strings.Contains(got, "level=WARN msg=careful plugin=talker") || !strings.Contains(got, `level=INFO msg="a 1 nil"`) {
		t.Errorf("log %.300s", got)
	}
	if lines := strings.Count(got, "\n"); lines < 50 || lines >= 1000 || len(got) > lines*4300 {
		t.Errorf("%d lines, %d bytes of log", lines, len(got))
	}
}

func TestWaitingForAnInstanceEndsAtTheDeadline(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	logger := slog.New(handler(func() { held <- struct{}{}; <-release }))
	p := loadScript(t, `function on_publish(ev) if ev.data == "hold" then log.info("held") end return true end`, lua.Options{Instances: 1, Logger: logger})
	var busy sync.WaitGroup
	busy.Go(func() { p.Publish(t.Context(), hooktest.NewPublish("hold")) }) //nolint:errcheck // Nothing is asserted about it here.
	<-held
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(short, hooktest.NewPublish("x")); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "all 1 instances are busy") {
		t.Errorf("fault %v", err)
	}
	close(release)
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("x")); err != nil || a.Verdict != hooks.Allow {
		t.Errorf("after the wait: %+v, %v", a, err)
	}
	busy.Wait()
}

// handler is a log that does something with each line.
type handler func()

func (handler) Enabled(context.Context, slog.Level) bool    { return true }
func (h handler) Handle(context.Context, slog.Record) error { h(); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h handler) WithGroup(string) slog.Handler             { return h }

// What nobody waits for may stand still for as long as the machine does; what runs for too long is ended.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stand := slog.New(handler(func() { <-time.After(time.Minute) }))
		const busy = `for i = 1, 100 do local x = i end `
		p := loadScript(t, busy+`log.info("x") `+busy+`function on_publish() `+busy+`log.info("x") `+busy+`return true end`, lua.Options{Logger: stand})
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%+v, %v", a, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Publish(ctx, hooktest.NewPublish("")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits a second: %v", err)
		}
	})
}

func TestConcurrentCallsDoNotMix(t *testing.T) {
	p := loadScript(t, `
		function on_publish(ev)
			local before = ev.data
			for i = 1, 50 do assert(ev.data == before, "another call's event") end
			ev.data = before .. "!"
			while before == "slow" do local spin = true end;
		end`, lua.Options{Instances: 3})
	var calls sync.WaitGroup
	for i := range 16 {
		calls.Go(func() {
			data := string(rune('a' + i))
			for range 100 {
				e := hooktest.NewPublish(data)
				a, err := p.Publish(t.Context(), e)
				if err != nil || !a.Modified || string(e.Data) != data+"!" {
					t.Errorf("%q: %+v, %v", e.Data, a, err)
					return
				}
			}
		})
	}
	calls.Go(func() {
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			if _, err := p.Publish(ctx, hooktest.NewPublish("slow")); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
	})
	calls.Wait()
}
