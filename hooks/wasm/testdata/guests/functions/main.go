//go:build wasip1

// The plugin of the conformance suite of the functions of the server.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

// outcome is what became of a call.
type outcome struct {
	Results []any  `json:"results,omitempty"`
	Absent  bool   `json:"absent,omitempty"`
	Failed  string `json:"failed,omitempty"`
}

func results(err error, values ...any) outcome {
	if err != nil {
		var failure hook.Failure
		if !errors.As(err, &failure) {
			panic(err)
		}
		return outcome{Failed: err.Error()}
	}
	for i, v := range values {
		switch v := v.(type) {
		case string:
			values[i] = hex.EncodeToString([]byte(v))
		case []byte:
			values[i] = hex.EncodeToString(v)
		}
	}
	return outcome{Results: values}
}

// unless is absent when the revision is 0.
func unless(revision int64, o outcome) outcome {
	if revision == 0 && o.Failed == "" {
		return outcome{Absent: true}
	}
	return o
}

var loaded outcome

func init() {
	var config struct{ Probe bool }
	if err := hook.Config(&config); err != nil {
		panic(err)
	}
	if config.Probe {
		value, revision, err := hook.KVGet("x")
		loaded = unless(revision, results(err, value, revision))
	}
}

// arguments are those of one call; beyond its end are empty ones.
type arguments []any

func (a arguments) at(i int) any {
	if i < len(a) {
		return a[i]
	}
	return nil
}

func (a arguments) text(i int) string  { s, _ := a.at(i).(string); return s }
func (a arguments) bytes(i int) []byte { return []byte(a.text(i)) }
func (a arguments) int(i int) int64    { n, _ := a.at(i).(float64); return int64(n) }

func (a arguments) seconds(i int) time.Duration {
	n, _ := a.at(i).(float64)
	return time.Duration(n * float64(time.Second))
}

func (a arguments) texts(i int) map[string]string {
	object, _ := a.at(i).(map[string]any)
	texts := map[string]string{}
	for name, value := range object {
		text, ok := value.(string)
		if !ok {
			panic(hook.Failure("the kit takes texts only: not a JSON object of texts"))
		}
		texts[name] = text
	}
	return texts
}

func call(name string, a arguments) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			failure, ok := v.(hook.Failure)
			if !ok {
				panic(v)
			}
			o = outcome{Failed: string(failure)}
		}
	}()
	switch name {
	case "kv_get":
		value, revision, err := hook.KVGet(a.text(0))
		return unless(revision, results(err, value, revision))
	case "kv_set":
		revision, err := hook.KVSet(a.text(0), a.bytes(1), a.seconds(2))
		return results(err, revision)
	case "kv_cas":
		next, err := hook.KVCompareAndSwap(a.text(0), a.bytes(1), a.int(2), a.seconds(3))
		return unless(next, results(err, next))
	case "kv_delete":
		return results(hook.KVDelete(a.text(0)))
	case "http_request":
		r, err := hook.HTTP(a.text(0), a.text(1), a.texts(2), a.bytes(3))
		return results(err, r.Status, r.Headers, r.Body)
	case "server_publish":
		return results(hook.ServerPublish(a.text(0), a.bytes(1), a.texts(2)))
	case "server_unsubscribe":
		return results(hook.ServerUnsubscribe(a.text(0), a.text(1), a.text(2)))
	case "server_disconnect":
		return results(hook.ServerDisconnect(a.text(0), a.text(1), int(a.int(2)), a.text(3)))
	case "jwt_verify":
		var claims map[string]any
		err := hook.JWTVerify(a.text(0), a.text(1), &claims)
		return results(err, claims)
	case "jwt_sign":
		token, err := hook.JWTSign(a.at(0), a.text(1))
		return results(err, token)
	case "password_hash":
		hash, err := hook.PasswordHash(a.text(0))
		return results(err, hash)
	case "password_verify":
		right, err := hook.PasswordVerify(a.text(0), a.text(1))
		return results(err, right)
	case "metric_add":
		return results(hook.MetricAdd(a.text(0), a.int(1)))
	case "random_bytes":
		b, err := hook.RandomBytes(int(a.int(0)))
		return results(err, b)
	}
	panic("there is no function " + name)
}

//go:wasmexport on_rpc
func onRPC() hook.Verdict {
	var ev hook.RPC
	var a arguments
	if err := json.Unmarshal(ev.Data(), &a); err != nil {
		panic(err)
	}
	o := loaded
	switch name := ev.Method(); name {
	case "loaded":
	case "flood":
		for {
			call(a.text(0), a[1:])
		}
	default:
		o = call(name, a)
	}
	reply, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return ev.Reply(reply)
}

//go:wasmexport on_audit
func onAudit() hook.Verdict {
	var ev hook.Audit
	ev.SetReason(hook.ServerPublish("room:1", []byte("{}"), nil).Error())
	return hook.Pass
}

//go:wasmexport on_channel
func onChannel() hook.Verdict {
	return hook.Reject(0, hook.ServerPublish("room:1", []byte("{}"), nil).Error())
}
