package lua

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// sdk is the events' description for editors.
const sdk = "../../plugins/sdk/lua/zenconn.lua"

// classes are the events by their names in the description.
var classes = map[string]event{
	"ConnectEvent":     &connectEvent{Connect: &hooks.Connect{}},
	"RefreshEvent":     &refreshEvent{Refresh: &hooks.Refresh{}},
	"SubscribeEvent":   &subscribeEvent{Subscribe: &hooks.Subscribe{}},
	"ChannelEvent":     &channelEvent{Channel: &hooks.Channel{}},
	"PublishEvent":     &publishEvent{Publish: &hooks.Publish{}},
	"RPCEvent":         &rpcEvent{RPC: &hooks.RPC{}},
	"SendEvent":        &sendEvent{Send: &hooks.Send{}},
	"UnsubscribeEvent": &unsubscribeEvent{Unsubscribe: &hooks.Unsubscribe{}},
	"DisconnectEvent":  &disconnectEvent{Disconnect: &hooks.Disconnect{}},
	"AuditEvent":       &auditEvent{Audit: &hooks.Audit{}},
}

func TestDescriptionForEditors(t *testing.T) {
	text, err := os.ReadFile(sdk)
	if err != nil {
		t.Fatal(err)
	}
	if len(classes) != len(hooks.All) {
		t.Errorf("%d events, %d hooks", len(classes), len(hooks.All))
	}
	described := map[string][]string{} // Names of fields, with "!" when writable.
	parents, class := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^---@class zenconn\.(\w+)(: zenconn\.(\w+))?`).FindStringSubmatch(line); m != nil {
			class = m[1]
			parents[class] = m[3]
		} else if m := regexp.MustCompile(`^---@field (\w+) (.*)`).FindStringSubmatch(line); m != nil {
			name := m[1]
			if strings.Contains(m[2], "(writable)") {
				name += "!"
			}
			described[class] = append(described[class], name)
		}
	}
	same := func(class string, want []string) {
		got := slices.Sorted(slices.Values(described[class]))
		if want = slices.Compact(slices.Sorted(slices.Values(want))); !slices.Equal(got, want) {
			t.Errorf("%s: described are %q, the server has %q", class, got, want)
		}
	}
	same("ClientEvent", clientFields)
	same("SubscriptionOptions", optionNames)
	for class, ev := range classes {
		var want []string
		for _, name := range ev.readable() {
			if !slices.Contains(ev.writable(), name) {
				want = append(want, name)
			}
		}
		for _, name := range ev.writable() {
			want = append(want, name+"!")
		}
		same(class, want)
		if (ev.client() != nil) != (parents[class] == "ClientEvent") {
			t.Errorf("%s: its parent is %q", class, parents[class])
		}
	}
	if _, err := compile("zenconn.lua", text); err != nil {
		t.Error(err)
	}
	checkLibraries(t, string(text))
}

// checkLibraries holds the described functions to what a script really has.
func checkLibraries(t *testing.T, text string) {
	script := "function on_rpc() end\n"
	var functions []string
	for _, m := range regexp.MustCompile(`(?m)^function (\w+\.\w+)\(`).FindAllStringSubmatch(text, -1) {
		functions = append(functions, m[1])
		script += "assert(type(" + m[1] + `) == "function", "` + m[1] + "\")\n"
	}
	libraries := []string{"json", "log", "time", "strings"}
	for _, f := range host.Functions() {
		library, _ := f.Library()
		libraries = append(libraries, library)
	}
	for _, library := range libraries {
		script += "for name, value in pairs(" + library + `) do if type(value) == "function" then assert(("` +
			strings.Join(functions, " ") + ` "):find("` + library + `." .. name .. " ", 1, true), "not described: ` + library + `." .. name) end end` + "\n"
	}
	p, err := LoadSource("libraries.lua", []byte(script), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Every field can be read, and every writable one refuses what is of no use, in words.
func TestFieldsAreReadable(t *testing.T) {
	in, err := newInstance(mustCompile(t, "function on_rpc() end"), bare(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for class, ev := range classes {
		names := ev.readable()
		if ev.client() != nil {
			names = slices.Concat(names, clientFields)
		}
		for _, name := range names {
			if _, known := ev.get(in, name); !known {
				t.Errorf("%s: %s is listed and cannot be read", class, name)
			}
		}
		for _, name := range ev.writable() {
			if value, _ := ev.get(in, name); !slices.Contains(names, name) {
				t.Errorf("%s: %s (%v) is writable and not listed as readable", class, name, value)
			}
		}
		if _, known := ev.get(in, "nonsense"); known || ev.set(in, "nonsense", nil) {
			t.Errorf("%s: knows everything", class)
		}
	}
}

func mustCompile(t *testing.T, source string) *program {
	t.Helper()
	p, err := compile("test.lua", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bare is a plugin without rights.
func bare(t *testing.T) *host.Plugin {
	t.Helper()
	h, err := host.NewPlugin(nil, "test", host.Rights{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
