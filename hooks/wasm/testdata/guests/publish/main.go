//go:build wasip1

// The behaviours of the conformance suite that are about publications. The configuration says which.
package main

import (
	"strings"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

var behaviours = map[string]func(hook.Publish) hook.Verdict{
	"verdicts": verdicts, "fields": fields, "rewrite": rewrite, "route": route, "spin": spin,
}

var behave = func() func(hook.Publish) hook.Verdict {
	var config struct{ Behaviour string }
	if err := hook.Config(&config); err != nil {
		panic(err)
	}
	return behaviours[config.Behaviour]
}()

//go:wasmexport on_publish
func onPublish() hook.Verdict { return behave(hook.Publish{}) }

func verdicts(ev hook.Publish) hook.Verdict {
	switch string(ev.Data()) {
	case "allow":
		return hook.Allow
	case "deny":
		return hook.Deny
	case "code":
		return hook.Reject(106, "")
	case "disconnect":
		return hook.Reject(3503, "")
	case "reason":
		return hook.Reject(0, "because")
	case "both":
		return hook.Reject(403, "because")
	case "drop":
		return hook.Drop
	case "fault":
		panic("oops")
	case "range":
		return hook.Reject(2500, "")
	case "garbage":
		return 7
	}
	return hook.Pass
}

func fields(ev hook.Publish) hook.Verdict {
	ev.SetData([]byte(strings.Join([]string{ev.Channel(), ev.ID(), ev.User(), string(ev.Info()), ev.Name(), ev.Version(), ev.RemoteAddr(),
		ev.Transport(), ev.Protocol(), ev.UserAgent(), ev.Header("X-Test"), ev.MessageID(), string(ev.Data()), ev.Tags()["a"]}, "|")))
	return hook.Pass
}

func rewrite(ev hook.Publish) hook.Verdict {
	what := string(ev.Data())
	ev.SetTags(map[string]string{"lang": "en"})
	ev.SetData([]byte("written"))
	switch what {
	case "fault":
		panic("oops")
	case "allow":
		return hook.Allow
	}
	return hook.Pass
}

func route(ev hook.Publish) hook.Verdict {
	switch string(ev.Data()) {
	case "redirect":
		ev.Redirect("room:2")
	case "expire":
		ev.SetExpireAt(1900000000)
	case "skip":
		ev.SetSkipHistory(true)
	case "exclude":
		ev.SetExcludeSender(true)
	case "include":
		ev.SetExcludeSender(false)
	}
	return hook.Pass
}

func spin(ev hook.Publish) hook.Verdict {
	for string(ev.Data()) == "spin" {
		for turns := 0; turns < 1e9; turns++ {
			spun = turns
		}
	}
	return hook.Allow
}

var spun int
