package node

import (
	"log/slog"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/lua"
)

const redacting = `
function on_audit(ev)
  if ev.user == "fail" then error("oops") end
  if ev.user == "deny" then return false end
  if ev.user == "drop" then return "drop" end
  if ev.user == "pass" then return end
  ev.user = ev.kind
  if ev.payload then ev.payload = "x" end
  ev.tags = {a = ev.tags.a and "y"}
  ev.remote_addr = ev.remote_addr:gsub("%.%d+$", ".0")
  ev.reason = ev.reason:gsub("secret", "***")
end`

func TestRedact(t *testing.T) {
	ip, masked := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("192.0.2.0")
	id := core.NewID()
	message := audit.Message{ID: id, Channel: "c", Size: 6, Payload: []byte("secret"), Tags: map[string]string{"a": "b"}}
	session := audit.Session{Session: id, RemoteAddr: ip, CloseCode: 3000, CloseReason: "a secret"}
	decision := audit.Decision{ID: id, Hook: "publish", Channel: "c", RemoteAddr: ip, Reason: "secret word"}
	action := audit.Action{ID: id, Action: "publish", RemoteAddr: ip, Request: `{"secret":1}`, Error: "secret"}
	user := func(name string) (audit.Event, audit.Event, audit.Event, audit.Event) {
		m, s, d, a := message, session, decision, action
		m.User, s.User, d.User, a.Actor = name, name, name, name
		return &m, &s, &d, &a
	}
	changed := func() [4]audit.Event {
		m, s, d, a := message, session, decision, action
		m.User, m.Payload, m.Tags = "message", []byte("x"), map[string]string{"a": "y"}
		s.User, s.RemoteAddr, s.CloseReason = "session", masked, "a ***"
		d.User, d.RemoteAddr, d.Reason = "decision", masked, "*** word"
		a.Actor, a.RemoteAddr, a.Request, a.Error = "action", masked, "x", "***"
		return [4]audit.Event{&m, &s, &d, &a}
	}
	withheld := func(why string) [4]audit.Event {
		m, s, d, a := message, session, decision, action
		m.Payload, m.Tags = nil, map[string]string{"redaction": why}
		s.RemoteAddr, s.CloseReason = netip.Addr{}, ""
		d.RemoteAddr, d.Reason = netip.Addr{}, ""
		a.RemoteAddr, a.Request, a.Error = netip.Addr{}, "", ""
		return [4]audit.Event{&m, &s, &d, &a}
	}
	for name, want := range map[string][4]audit.Event{
		"alice": changed(), "deny": withheld("withheld"), "fail": withheld("failed"), "drop": {},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRedactor(t, redacting, false)
			m, s, d, a := user(name)
			for i, e := range []audit.Event{m, s, d, a} {
				before := reflect.ValueOf(e).Elem().Interface()
				if got := r.Redact(t.Context(), e); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("stored %+v, want %+v", got, want[i])
				}
				if !reflect.DeepEqual(reflect.ValueOf(e).Elem().Interface(), before) {
					t.Errorf("the event itself was changed to %+v", e)
				}
			}
			if n := testutil.CollectAndCount(r.metrics.Redactions); n != 4 {
				t.Errorf("%d kinds counted", n)
			}
		})
	}
}

// What no plugin touches is stored as it is, without a copy; so is everything when no plugin looks at the audit.
func TestRedactPasses(t *testing.T) {
	for name, script := range map[string]string{
		"passes": redacting, "fails open": `function on_audit(ev) error("oops") end`, "no hook": `function on_publish(ev) end`,
	} {
		r, _ := newRedactor(t, script, true)
		e := &audit.Message{User: "pass"}
		if got := r.Redact(t.Context(), e); got != audit.Event(e) {
			t.Errorf("%s: stored %+v", name, got)
		}
	}
}

// A redaction is counted and not recorded: it would have to be redacted itself, and so on.
func TestRedactionIsNotRecorded(t *testing.T) {
	r, recorder := newRedactor(t, redacting, false)
	r.Redact(t.Context(), &audit.Message{User: "fail"})
	if n := testutil.ToFloat64(r.metrics.Decisions.WithLabelValues("p", "audit", "error")); n != 1 {
		t.Errorf("counted %v times", n)
	}
	if st := recorder.Stats(); st.Recorded != 0 {
		t.Errorf("%d events recorded", st.Recorded)
	}
}

// newRedactor also returns the recorder that the plugin's decisions go to, which does not run.
func newRedactor(t *testing.T, script string, failOpen bool) (*redactor, *audit.Recorder) {
	t.Helper()
	p, err := lua.LoadSource("p.lua", []byte(script), lua.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(prometheus.NewRegistry())
	recorder := audit.New(struct{ audit.Sink }{}, audit.Options{})
	o := &observer{recorder: recorder, metrics: m, log: slog.New(slog.DiscardHandler)}
	c := hooks.NewChain([]hooks.Link{{Plugin: p, FailOpen: failOpen, Deadline: time.Hour}}, o)
	t.Cleanup(func() { _ = c.Close() })
	return &redactor{metrics: m, chain: c}, recorder
}
