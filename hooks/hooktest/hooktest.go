// Package hooktest is the conformance suite of the plugin runtimes. A runtime brings one small plugin per Behaviour, written in
// its own language, and Run finds out whether the runtime treats them as the contract of package hooks says.
package hooktest

import (
	"strings"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

// Behaviour names a plugin a runtime brings and says what it does.
type Behaviour string

// The behaviours. Hooks that are not mentioned are not defined.
const (
	Verdicts Behaviour = "verdicts" // publish: does what data says: allow, pass, deny, code, disconnect, reason, both, drop, fault,
	//                                 range (denies with code 2500), garbage (answers with something that is no verdict).
	Fields Behaviour = "fields" // publish: sets data to channel|client|user|info|name|version|remote_addr|transport|protocol|
	//                             user_agent|header X-Test|id|data|tag "a", and passes.
	Rewrite Behaviour = "rewrite" // publish: replaces tags by {lang: "en"}, then writes "written" to data, then does what data said:
	//                               pass, allow, fault.
	Admit Behaviour = "admit" // connect: sets user to "u:" and the token, info to {"vip":true}, expire_at to 1900000000, data to
	//                           {"hello":1}, subscribes to "news", grants sub and pub on "room:*" as a wildcard; allows.
	//                           With the token "badjson" it sets info to "{" and allows.
	Join Behaviour = "join" // subscribe: sets info to {"seat":1}, data to {"welcome":"<channel>"}, expire_at to 1900000000, presence
	//                         to true, join_leave to false, and leaves recovery; grants pub in the channel; allows.
	Call Behaviour = "call" // rpc: method "echo" is answered with the input; "bad" with the text "not json"; "refuse" is denied
	//                         with 404 and "no such thing"; "empty" is allowed without a reply; others pass.
	Renew Behaviour = "renew" // refresh: with the token "no" it denies with 3500; "pass" passes; "bad" sets info to "{" and allows. Else it
	//                           adds 100 to expire_at, sets info to {"at":"<channel>"}, "session" when there is none, and allows.
	Define Behaviour = "define" // channel: denies "room:secret"; sets subscribe to "everyone" for "room:bad"; sets history_size to 50 and
	//                             nothing else for "room:forever"; passes in the namespace "other"; otherwise sets subscribe to
	//                             "granted", publish to "anyone", presence, join_leave, recovery and exclude_sender to true, history_size
	//                             to 50, history_ttl to 90 seconds, slow_consumer to "disconnect", and passes.
	Route Behaviour = "route" // publish: does what data says and passes: redirect (to "room:2"), expire (at 1900000000), skip (the
	//                           history), exclude (the sender), include (the sender).
	Take Behaviour = "take" // send: "ok" is allowed, "no" denied with 3503, others pass.
	Told Behaviour = "told" // unsubscribe and disconnect: fails unless the event says channel room:1 (unsubscribe only), code 2500,
	//                         reason "insufficient state" and user alice; otherwise denies.
	Redact Behaviour = "redact" // audit: of messages in room:1 with the hook and action empty it sets payload to "gone", user to "someone",
	//                             tags to {a: "x"}, remote_addr to "192.0.2.0" and reason to "why"; drops sessions; denies decisions
	//                             of the hook "publish"; fails for actions "start"; sets remote_addr to "nowhere" for others.
	Spin Behaviour = "spin" // publish: with data "spin" it never returns by itself; otherwise it allows.
)

// Behaviours lists all of them.
var Behaviours = []Behaviour{Verdicts, Fields, Rewrite, Admit, Join, Call, Renew, Define, Route, Take, Told, Redact, Spin}

// Run runs the suite. load returns a fresh plugin with the behaviour; Run closes it.
func Run(t *testing.T, load func(t *testing.T, b Behaviour) hooks.Plugin) {
	open := func(t *testing.T, b Behaviour) (hooks.Plugin, *hooks.Chain, *record) {
		t.Helper()
		p := load(t, b)
		r := &record{}
		c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: enough}}, r)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return p, c, r
	}
	t.Run("identity", func(t *testing.T) {
		p, c, _ := open(t, Verdicts)
		if p.Name() == "" || len(p.Hash()) != 64 || strings.ToLower(p.Hash()) != p.Hash() {
			t.Errorf("name %q, hash %q: want a name and 64 lower-case hex digits", p.Name(), p.Hash())
		}
		for _, hook := range hooks.All {
			if c.Has(hook) != (hook == hooks.OnPublish) {
				t.Errorf("hooks %v, want publish only", c.Plugins()[0].Hooks)
			}
		}
	})
	t.Run("verdicts", func(t *testing.T) {
		_, c, r := open(t, Verdicts)
		testVerdicts(t, c, r)
	})
	t.Run("fields", func(t *testing.T) {
		_, c, _ := open(t, Fields)
		testFields(t, c)
	})
	t.Run("rewrite", func(t *testing.T) {
		_, c, _ := open(t, Rewrite)
		testRewrite(t, c)
	})
	t.Run("admit", func(t *testing.T) {
		_, c, r := open(t, Admit)
		testAdmit(t, c, r)
	})
	t.Run("join", func(t *testing.T) {
		_, c, _ := open(t, Join)
		testJoin(t, c)
	})
	t.Run("call", func(t *testing.T) {
		_, c, r := open(t, Call)
		testCall(t, c, r)
	})
	t.Run("renew", func(t *testing.T) {
		_, c, r := open(t, Renew)
		testRenew(t, c, r)
	})
	t.Run("define", func(t *testing.T) {
		_, c, r := open(t, Define)
		testDefine(t, c, r)
	})
	t.Run("route", func(t *testing.T) {
		_, c, _ := open(t, Route)
		testRoute(t, c)
	})
	t.Run("take", func(t *testing.T) {
		_, c, _ := open(t, Take)
		testTake(t, c)
	})
	t.Run("told", func(t *testing.T) {
		_, c, r := open(t, Told)
		testTold(t, c, r)
	})
	t.Run("redact", func(t *testing.T) {
		_, c, r := open(t, Redact)
		testRedact(t, c, r)
	})
	t.Run("spin", func(t *testing.T) { testSpin(t, load(t, Spin)) })
}

// record keeps the last decision and how many there were.
type record struct {
	last  hooks.Decision
	count int
}

func (r *record) Decided(d hooks.Decision) { r.last, r.count = d, r.count+1 }

// NewClient is a client with every field set, for tests of runtimes.
func NewClient() hooks.Client {
	return hooks.Client{
		ID: "c1", User: "alice", Info: []byte(`{"age":7}`), Name: "js", Version: "5.4", RemoteAddr: "192.0.2.1", Transport: "websocket",
		Protocol: "json", UserAgent: "Mozilla",
		Header: func(name string) string {
			if strings.EqualFold(name, "X-Test") {
				return "header"
			}
			return ""
		},
	}
}

// NewPublish is a publication of NewClient, for tests of runtimes.
func NewPublish(data string) *hooks.Publish {
	return &hooks.Publish{Client: NewClient(), Channel: "room:1", Message: core.ID{15: 1}, Data: []byte(data),
		Tags: map[string]string{"a": "b"}}
}

func publish(t *testing.T, c *hooks.Chain, data string) (hooks.Answer, *hooks.Publish) {
	e := NewPublish(data)
	return c.Publish(t.Context(), e), e
}
