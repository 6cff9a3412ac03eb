package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

func TestEveryCallIsRecorded(t *testing.T) {
	r := start(t, configuration(), calculator)
	r.connect("alice").subscribe("room")
	secret := "the payload"
	for _, call := range []struct{ method, body, target, request string }{
		{"publish", `{"channel":"room","data":"the payload","tags":{"a":"b"}}`, "room", `{"channel":"room","tags":{"a":"b"}}`},
		{"publish", `{"channel":"secret:a","b64data":"InRoZSBwYXlsb2FkIg=="}`, "secret:a", `{"channel":"secret:a"}`},
		{"broadcast", `{"channels":["room","b"],"data":"the payload"}`, "room b", `{"channels":["room","b"]}`},
		{"subscribe", `{"user":"alice","channel":"b","info":"the payload","data":"the payload"}`, "b", `{"user":"alice","channel":"b"}`},
		{"send", `{"user":"alice","data":"the payload"}`, "alice", `{"user":"alice"}`},
		{"rpc", `{"method":"add","params":[1]}`, "add", `{"method":"add"}`},
		{"refresh", `{"user":"alice","info":"the payload"}`, "alice", `{"user":"alice"}`},
		{"presence", `{"channel":"nowhere:a"}`, "nowhere:a", `{"channel":"nowhere:a"}`},
		{"disconnect", `{"client":"x"}`, "x", `{"client":"x"}`},
	} {
		answer := r.call(call.method, call.body)
		actions := all[*audit.Action](r.audit)
		a := actions[len(actions)-1]
		if a.Action != call.method || a.Target != call.target || a.Request != call.request || a.Actor != "api" || a.ActorKind != "api" ||
			a.Node != "test" || a.RemoteAddr.String() != "127.0.0.1" || a.Latency <= 0 || a.ID.IsZero() || a.At.IsZero() {
			t.Errorf("%s %s was recorded as %+v", call.method, call.body, a)
		}
		if failed := strings.Contains(answer, `"error"`); a.OK == failed || (a.Error != "") != failed {
			t.Errorf("%s was answered with %s, recorded as %+v", call.method, answer, a)
		}
		if strings.Contains(a.Request, secret) {
			t.Errorf("the payload is in the action: %s", a.Request)
		}
	}
	kept := map[string]string{}
	for _, m := range all[*audit.Message](r.audit) {
		if m.User != "" || m.Session != (core.ID{}) || m.Verdict != audit.MessageAllow || m.Size != 13 {
			t.Errorf("message %+v", m)
		}
		kept[m.Channel] += fmt.Sprintf("%d %d %s;", m.Offset, m.Deliveries, m.Payload)
	}
	want := map[string]string{"room": `1 1 "the payload";2 1 "the payload";`, "b": `1 0 "the payload";`, "secret:a": "0 0 ;"}
	if !maps.Equal(kept, want) {
		t.Errorf("messages: %q, want %q", kept, want)
	}
	if got := r.metric("zenconn_api_requests_total", "method", "presence", "code", "102"); got != 1 {
		t.Errorf("%v refused requests were counted", got)
	}
	if got := r.metric("zenconn_api_requests_total", "method", "publish", "code", "0"); got != 2 {
		t.Errorf("%v publish requests were counted", got)
	}
}

func TestWhatIsRecordedIsBounded(t *testing.T) {
	r := start(t, configuration())
	r.call("broadcast", `{"data":1,"channels":["`+strings.Repeat("ä", 5000)+`"]}`)
	for range 3 {
		r.do(http.MethodPost, "/api/made-up", "", "X-API-Key", key)
	}
	for _, a := range all[*audit.Action](r.audit) {
		if len(a.Target) > 255 || len(a.Request) > 1024 || !utf8.ValidString(a.Target+a.Request) || a.Action == "made-up" {
			t.Errorf("recorded %+v", a)
		}
	}
	if got := r.metric("zenconn_api_requests_total", "method", "unknown", "code", "104"); got != 3 {
		t.Errorf("%v unknown methods were counted", got)
	}
}

// metric returns the value of a counter with these labels.
func (r *running) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found := f.GetName() == name
			for i := 0; i < len(labels); i += 2 {
				has := false
				for _, l := range m.GetLabel() {
					has = has || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				found = found && has
			}
			if found {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestIdempotency(t *testing.T) {
	r := start(t, configuration())
	c := r.connect("alice").subscribe("room")
	publish := `{"channel":"room","data":1,"idempotency_key":"order-1"}`
	first := r.call("publish", publish)
	if again := r.call("publish", publish); again != first {
		t.Errorf("repeated: %s, first %s", again, first)
	}
	if other := r.call("publish", `{"channel":"other","data":1,"idempotency_key":"order-1"}`); other == first || !strings.Contains(other, `"offset":1`) {
		t.Errorf("the key in another channel: %s", other)
	}
	r.call("publish", `{"channel":"room","data":2,"idempotency_key":"order-2"}`)
	c.expect(`"data":1`)
	c.expect(`"data":2`) // And nothing between, or the next would be wrong:
	c.stays()

	// A broadcast that is repeated reaches only the channels it has not reached before.
	got := r.call("broadcast", `{"channels":["room","third"],"data":3,"idempotency_key":"order-1"}`)
	if !strings.HasPrefix(got, `{"result":{"responses":[`+first) || strings.Count(got, `"offset":1`) != 2 {
		t.Errorf("broadcast: %s", got)
	}
	c.stays()

	// What failed is tried again.
	for range 2 {
		if got := r.call("publish", `{"channel":"nowhere:a","data":1,"idempotency_key":"order-1"}`); !strings.Contains(got, `"code":102`) {
			t.Errorf("got %s", got)
		}
	}
}

func TestIdempotencyOfRequestsAtOnce(t *testing.T) {
	r := start(t, configuration())
	var wg sync.WaitGroup
	answers := make([]string, 32)
	for i := range answers {
		wg.Go(func() { answers[i] = r.call("publish", `{"channel":"room","data":1,"idempotency_key":"k"}`) })
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("%s and %s", a, answers[0])
		}
	}
	if got := r.call("history", `{"channel":"room"}`); !strings.Contains(got, `"offset":1,`) {
		t.Errorf("history: %s", got)
	}
}
