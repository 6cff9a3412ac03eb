package lua

import (
	"slices"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// The events have the fields of the Wasm ABI's table, under the same names: what is written about one runtime holds for the other.
func TestEventsFollowTheTable(t *testing.T) {
	// What Lua has in another form: methods, or a global variable. In on_channel, subscribe is another thing.
	names := map[string]string{"subscription": "subscribe", "config": ""}
	methods := []string{"header", "subscribe", "grant"}
	for hook, ev := range map[hooks.Hook]event{
		hooks.OnConnect:     &connectEvent{Connect: &hooks.Connect{}},
		hooks.OnRefresh:     &refreshEvent{Refresh: &hooks.Refresh{}},
		hooks.OnSubscribe:   &subscribeEvent{Subscribe: &hooks.Subscribe{}},
		hooks.OnChannel:     &channelEvent{Channel: &hooks.Channel{}},
		hooks.OnPublish:     &publishEvent{Publish: &hooks.Publish{}},
		hooks.OnRPC:         &rpcEvent{RPC: &hooks.RPC{}},
		hooks.OnSend:        &sendEvent{Send: &hooks.Send{}},
		hooks.OnUnsubscribe: &unsubscribeEvent{Unsubscribe: &hooks.Unsubscribe{}},
		hooks.OnDisconnect:  &disconnectEvent{Disconnect: &hooks.Disconnect{}},
		hooks.OnAudit:       &auditEvent{Audit: &hooks.Audit{}},
	} {
		readable, writable := slices.Clone(ev.readable()), slices.Clone(ev.writable())
		if ev.client() != nil {
			readable = append(readable, clientFields...)
		}
		for _, f := range host.Fields() {
			name, renamed := names[f.Name]
			if !renamed {
				name = f.Name
			}
			access := f.Hooks[hook]
			isMethod := slices.Contains(methods, name) && hook != hooks.OnChannel
			if access == 0 {
				if !isMethod && !renamed && (slices.Contains(readable, name) || slices.Contains(writable, name)) {
					t.Errorf("on_%s has %s here, and not in the table", hook, name)
				}
				continue
			}
			if (access&host.Read != 0 || isMethod) != slices.Contains(readable, name) {
				t.Errorf("on_%s: %s can be read here: %v", hook, name, slices.Contains(readable, name))
			}
			if (access&host.Write != 0 && !isMethod) != slices.Contains(writable, name) {
				t.Errorf("on_%s: %s can be written here: %v", hook, name, slices.Contains(writable, name))
			}
		}
		for _, name := range readable {
			known := slices.ContainsFunc(host.Fields(), func(f host.Description) bool { return f.Name == name || names[f.Name] == name })
			if !known {
				t.Errorf("on_%s has %s, which the table lacks", hook, name)
			}
		}
	}
}
