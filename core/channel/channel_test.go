package channel_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
)

func namespaces(t *testing.T, maxLength int, names ...string) *channel.Namespaces {
	t.Helper()
	byName := map[string]config.Namespace{}
	for _, name := range names {
		byName[name] = config.DefaultNamespace()
	}
	n, err := channel.New(byName, maxLength)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestResolve(t *testing.T) {
	n := namespaces(t, 40, "default", "chat", "news-2.1")
	for name, want := range map[string]string{
		"lobby":                         "default",
		"a":                             "default",
		"chat:lobby":                    "chat",
		"chat:a:b":                      "chat",
		"chat::":                        "chat",
		"chat: ":                        "chat",
		"news-2.1:x":                    "news-2.1",
		"a.b.*.>":                       "default",
		"with spaces and / % ? # \\ \"": "default",
		"größer 日本語 🎉":                  "default",
		"chat:$x":                       "chat",
		"a$":                            "default",
		channel.SystemSessions:          "$system",
		"\u200f\ufeff":                  "default",
		strings.Repeat("x", 40):         "default",
		strings.Repeat("é", 20):         "default",
	} {
		ns, err := n.Resolve(name)
		if err != nil || ns.Name != want {
			t.Errorf("%q is in %+v: %v", name, ns, err)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	const form = "bad request: a channel name is UTF-8 without control characters"
	open, closed := namespaces(t, 40, "default", "chat"), namespaces(t, 40, "chat")
	for name, test := range map[string]struct {
		in      *channel.Namespaces
		channel string
		want    *core.Error
		text    string
	}{
		"empty":                   {open, "", core.ErrBadRequest, "bad request: a channel name has 1 to 40 bytes"},
		"too long":                {open, strings.Repeat("x", 41), core.ErrBadRequest, "bad request: a channel name has 1 to 40 bytes"},
		"too long in bytes":       {open, strings.Repeat("é", 20) + "x", core.ErrBadRequest, "bad request: a channel name has 1 to 40 bytes"},
		"NUL":                     {open, "a\x00b", core.ErrBadRequest, form},
		"line feed":               {open, "a\n", core.ErrBadRequest, form},
		"tab":                     {open, "\ta", core.ErrBadRequest, form},
		"unit separator":          {open, "a\x1fb", core.ErrBadRequest, form},
		"delete":                  {open, "a\x7f", core.ErrBadRequest, form},
		"C1 control":              {open, "a\u0085", core.ErrBadRequest, form},
		"last C1 control":         {open, "a\u009f", core.ErrBadRequest, form},
		"control in namespace":    {open, "ch\nat:a", core.ErrBadRequest, form},
		"bare C1 byte":            {open, "a\x85", core.ErrBadRequest, form},
		"cut UTF-8":               {open, "a\xc3", core.ErrBadRequest, form},
		"surrogate":               {open, "a\xed\xa0\x80", core.ErrBadRequest, form},
		"overlong NUL":            {open, "a\xc0\x80", core.ErrBadRequest, form},
		"nothing behind":          {open, "chat:", core.ErrBadRequest, "bad request: a channel name has something behind its namespace"},
		"only a colon":            {open, ":", core.ErrBadRequest, "bad request: a channel name has something behind its namespace"},
		"unknown namespace":       {open, "news:a", core.ErrUnknownChannel, "unknown channel"},
		"namespace in other case": {open, "Chat:a", core.ErrUnknownChannel, "unknown channel"},
		"empty namespace":         {open, ":a", core.ErrUnknownChannel, "unknown channel"},
		"no default namespace":    {closed, "a", core.ErrUnknownChannel, "unknown channel"},
		"reserved":                {open, "$a", core.ErrUnknownChannel, "unknown channel"},
		"reserved namespace":      {open, "$chat:a", core.ErrUnknownChannel, "unknown channel"},
		"reserved, unknown":       {open, "$system:other", core.ErrUnknownChannel, "unknown channel"},
		"reserved, only began":    {open, "$system:", core.ErrBadRequest, "bad request: a channel name has something behind its namespace"},
		"bad and reserved":        {open, "$\x00", core.ErrBadRequest, form},
	} {
		t.Run(name, func(t *testing.T) {
			ns, err := test.in.Resolve(test.channel)
			if ns != nil || !errors.Is(err, test.want) || err.Message != test.text {
				t.Errorf("got %+v, %v", ns, err)
			}
		})
	}
}

// The longest name that can be configured.
func TestResolveLongest(t *testing.T) {
	n := namespaces(t, 255, "chat")
	longest := "chat:" + strings.Repeat("x", 250)
	if ns, err := n.Resolve(longest); err != nil || ns.Name != "chat" {
		t.Errorf("255 bytes: %+v, %v", ns, err)
	}
	if ns, err := n.Resolve(longest + "x"); ns != nil || !errors.Is(err, core.ErrBadRequest) {
		t.Errorf("256 bytes: %+v, %v", ns, err)
	}
}

// FuzzResolve states what a resolved name is, in other words than Resolve does.
func FuzzResolve(f *testing.F) {
	for _, name := range []string{"", "lobby", "chat:lobby", "chat:", ":", ":a", "$a", "chat:$a", "a\x00", "a\x85", "größer 🎉", "news:a", "default:a"} {
		f.Add(name)
	}
	n, err := channel.New(map[string]config.Namespace{"default": config.DefaultNamespace(), "chat": config.DefaultNamespace()}, 40)
	if err != nil {
		f.Fatal(err)
	}
	good := regexp.MustCompile(`\A(?s:(chat|default):.+|[^:$][^:]*)\z`)
	control := regexp.MustCompile(`\p{Cc}`)
	f.Fuzz(func(t *testing.T, name string) {
		ns, err := n.Resolve(name)
		want := len(name) <= 40 && utf8.ValidString(name) && !control.MatchString(name) && good.MatchString(name)
		if (err == nil) != want || (ns != nil) != want {
			t.Fatalf("%q: %+v, %v", name, ns, err)
		}
		if err != nil {
			if !errors.Is(err, core.ErrBadRequest) && !errors.Is(err, core.ErrUnknownChannel) {
				t.Errorf("%q: %v", name, err)
			}
			return
		}
		if inChat := strings.HasPrefix(name, "chat:"); inChat != (ns.Name == "chat") {
			t.Errorf("%q is in %s", name, ns.Name)
		}
	})
}

func TestResolveDoesNotAllocate(t *testing.T) {
	n := namespaces(t, 255, "default", "chat")
	for _, name := range []string{"lobby", "chat:lobby", "größer 日本語 🎉", "chat:" + strings.Repeat("x", 250)} {
		if allocs := testing.AllocsPerRun(100, func() {
			if _, err := n.Resolve(name); err != nil {
				t.Fatal(err)
			}
		}); allocs != 0 {
			t.Errorf("%q: %v allocations", name, allocs)
		}
	}
}

func TestOptions(t *testing.T) {
	n, err := channel.New(map[string]config.Namespace{
		"default": {Subscribe: "nobody", Publish: "granted", SlowConsumer: "disconnect", Content: "json"},
		"a": {
			Subscribe: "user", Publish: "anyone", Presence: true, JoinLeave: true, HistorySize: 7, HistoryTTL: time.Minute,
			Recovery: true, ExcludeSender: true, SlowConsumer: "drop_oldest", Content: "binary", AuditPayload: "full",
		},
		"b": {Subscribe: "granted", Publish: "nobody", SlowConsumer: "conflate", Content: "json"},
	}, 255)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]channel.Namespace{
		"x": {Name: "default", Subscribe: channel.Nobody, Publish: channel.Granted, SlowConsumer: channel.Disconnect},
		"a:x": {
			Name: "a", Subscribe: channel.User, Publish: channel.Anyone, Presence: true, JoinLeave: true, HistorySize: 7,
			HistoryTTL: time.Minute, Recovery: true, ExcludeSender: true, SlowConsumer: channel.DropOldest, Binary: true, AuditPayload: "full",
		},
		"b:x": {Name: "b", Subscribe: channel.Granted, Publish: channel.Nobody, SlowConsumer: channel.Conflate},
	} {
		if ns, err := n.Resolve(name); err != nil || *ns != want {
			t.Errorf("%s: got %+v, %v", name, ns, err)
		}
	}
	var zero channel.Namespace
	if zero.Subscribe != channel.Nobody || zero.Publish != channel.Nobody {
		t.Error("a namespace that says nothing must be closed")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*config.Namespace){
		"subscribe": func(n *config.Namespace) { n.Subscribe = "everyone" },
		"publish":   func(n *config.Namespace) { n.Publish = "" },
		"policy":    func(n *config.Namespace) { n.SlowConsumer = "Disconnect" },
		"content":   func(n *config.Namespace) { n.Content = "text" },
	} {
		t.Run(name, func(t *testing.T) {
			ns := config.DefaultNamespace()
			change(&ns)
			_, err := channel.New(map[string]config.Namespace{"chat": ns}, 255)
			if err == nil || !strings.Contains(err.Error(), `namespace "chat"`) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func BenchmarkResolve(b *testing.B) {
	n, err := channel.New(map[string]config.Namespace{"chat": config.DefaultNamespace()}, 255)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Resolve("chat:room-12345"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReservedNamespace(t *testing.T) {
	if _, err := channel.New(map[string]config.Namespace{"$mine": config.DefaultNamespace()}, 40); err == nil {
		t.Error("a namespace with a reserved name was taken")
	}
	ns, bad := namespaces(t, 40, "default").Resolve(channel.SystemSessions)
	if bad != nil || ns.Subscribe != channel.Granted || ns.Publish != channel.Nobody || !ns.Reserved || ns.HistorySize != 0 || ns.Presence {
		t.Errorf("the system namespace is %+v: %v", ns, bad)
	}
}
