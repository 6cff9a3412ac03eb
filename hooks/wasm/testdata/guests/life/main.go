//go:build wasip1

// The behaviours of the conformance suite that are about everything else: each has a hook of its own.
package main

import (
	"fmt"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

//go:wasmexport on_connect
func admit() hook.Verdict {
	var ev hook.Connect
	ev.SetUser("u:" + ev.Token())
	ev.SetInfo([]byte(`{"vip":true}`))
	ev.SetExpireAt(1900000000)
	ev.SetData([]byte(`{"hello":1}`))
	ev.Subscribe(hook.Subscription{Channel: "news"})
	ev.Grant(hook.Grant{Channels: []string{"room:*"}, Match: "wildcard", Allow: []string{"sub", "pub"}})
	if ev.Token() == "badjson" {
		ev.SetInfo([]byte("{"))
	}
	return hook.Allow
}

//go:wasmexport on_subscribe
func join() hook.Verdict {
	var ev hook.Subscribe
	ev.SetInfo([]byte(`{"seat":1}`))
	ev.SetData(fmt.Appendf(nil, `{"welcome":%q}`, ev.Channel()))
	ev.SetExpireAt(1900000000)
	ev.SetPresence(true)
	ev.SetJoinLeave(false)
	ev.Grant("pub")
	if ev.Recovery() != nil {
		panic("recovery was set by nobody")
	}
	return hook.Allow
}

//go:wasmexport on_rpc
func call() hook.Verdict {
	var ev hook.RPC
	switch ev.Method() {
	case "echo":
		return ev.Reply(ev.Data())
	case "bad":
		return ev.Reply([]byte("not json"))
	case "refuse":
		return hook.Reject(404, "no such thing")
	case "empty":
		return hook.Allow
	}
	return hook.Pass
}

//go:wasmexport on_refresh
func renew() hook.Verdict {
	var ev hook.Refresh
	switch ev.Token() {
	case "no":
		return hook.Reject(3500, "")
	case "pass":
		return hook.Pass
	}
	ev.SetExpireAt(ev.ExpireAt() + 100)
	at := ev.Channel()
	if at == "" {
		at = "session"
	}
	ev.SetInfo(fmt.Appendf(nil, `{"at":%q}`, at))
	if ev.Token() == "bad" {
		ev.SetInfo([]byte("{"))
	}
	return hook.Allow
}

//go:wasmexport on_channel
func define() hook.Verdict {
	var ev hook.Channel
	switch {
	case ev.Channel() == "room:secret":
		return hook.Deny
	case ev.Namespace() == "other":
		return hook.Pass
	case ev.Channel() == "room:forever":
		ev.SetHistory(50, 0)
		return hook.Pass
	case ev.Channel() == "room:bad":
		ev.SetSubscribe("everyone")
	default:
		ev.SetSubscribe("granted")
	}
	ev.SetPublish("anyone")
	ev.SetPresence(true)
	ev.SetJoinLeave(true)
	ev.SetRecovery(true)
	ev.SetExcludeSender(true)
	ev.SetHistory(50, 90_000)
	ev.SetSlowConsumer("disconnect")
	return hook.Pass
}

//go:wasmexport on_send
func take() hook.Verdict {
	switch string(hook.Send{}.Data()) {
	case "ok":
		return hook.Allow
	case "no":
		return hook.Reject(3503, "")
	}
	return hook.Pass
}

//go:wasmexport on_unsubscribe
func left() hook.Verdict {
	var ev hook.Unsubscribe
	if ev.Channel() != "room:1" {
		panic("another channel")
	}
	return told(ev.Code(), ev.Reason(), ev.User())
}

//go:wasmexport on_disconnect
func gone() hook.Verdict {
	var ev hook.Disconnect
	return told(ev.Code(), ev.Reason(), ev.User())
}

func told(code int, reason, user string) hook.Verdict {
	if code != 2500 || reason != "insufficient state" || user != "alice" {
		panic(fmt.Sprintf("told %d %q of %q", code, reason, user))
	}
	return hook.Deny
}

//go:wasmexport on_audit
func redact() hook.Verdict {
	var ev hook.Audit
	switch {
	case ev.Kind() == "session":
		return hook.Drop
	case ev.Hook() == "publish":
		return hook.Deny
	case ev.Action() == "start":
		panic("oops")
	case ev.Kind() == "message" && ev.Channel() == "room:1" && ev.Hook() == "" && ev.Action() == "":
		ev.SetPayload([]byte("gone"))
		ev.SetUser("someone")
		ev.SetTags(map[string]string{"a": "x"})
		ev.SetRemoteAddr("192.0.2.0")
		ev.SetReason("why")
	default:
		ev.SetRemoteAddr("nowhere")
	}
	return hook.Pass
}
