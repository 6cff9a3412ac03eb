package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zenconn/server/hooks"
)

// Function is something that a plugin can have the server do. It has the same meaning in every runtime: kv_get of the Wasm ABI is
// kv.get in Lua.
type Function struct {
	Name    string // The library, an underscore, and the function in it.
	Right   string // What plugins.load[].allow must give; empty: everybody has it.
	Params  []Param
	Results []Param
	Absent  string // When there is no result, completing "no result when …"; empty: there always is one.
	Doc     string // What it does; one sentence.

	index    int
	anywhere bool // It can be used while the plugin is loaded, too.
	run      func(ctx context.Context, p *Plugin, c *Call) error
}

// Param is a parameter or a result.
type Param struct {
	Name     string
	Type     Type
	Optional bool // It may be left out, as an empty text or 0.
	Doc      string
}

// Library splits a function's name into those it has in Lua.
func (f *Function) Library() (library, name string) {
	library, name, _ = strings.Cut(f.Name, "_")
	return library, name
}

// The most parameters and results a function has.
const (
	MaxParams  = 4
	MaxResults = 3
)

// Value is a parameter or a result. Text, bytes and JSON are in Text, numbers and truth (0, 1) in Int.
type Value struct {
	Text string
	Int  int64
}

// Call is one call of a function. It can be used again.
type Call struct {
	Hook     hooks.Hook // That the plugin is answering; empty: it is being loaded.
	Deadline time.Time  // Of the answer.
	Args     [MaxParams]Value
	Results  [MaxResults]Value // After an error too, so that nothing of the last call is left.
}

// ErrAbsent is returned by Plugin.Call when there is no result, and nothing has gone wrong.
var ErrAbsent = errors.New("there is no result")

// Failure is returned by Plugin.Call when a function could not do what it was asked for. It is a sentence for the plugin, which may go on.
// Any other error is a fault that ends the plugin's answer: it took too long, or used what it was not given.
type Failure string

func (f Failure) Error() string { return string(f) }

func failure(format string, args ...any) error { return Failure(fmt.Sprintf(format, args...)) }

// The rights that functions need, as they are called in plugins.load[].allow.
const (
	rightKV          = "kv"
	rightHTTP        = "http"
	rightPublish     = "publish"
	rightUnsubscribe = "unsubscribe"
	rightDisconnect  = "disconnect"
	rightJWT         = "jwt"
	rightPassword    = "password"
)

// functions is the one table that the runtimes, the reference and the kits follow.
var functions = numbered([]Function{
	{
		Name: "kv_get", Right: rightKV, Params: []Param{keyParam}, Results: []Param{valueParam, revisionParam}, Absent: "the key has no value", run: kvGet,
		Doc: "Reads a value that this plugin has stored, here or on another node.",
	},
	{
		Name: "kv_set", Right: rightKV, Params: []Param{keyParam, valueParam, ttlParam}, Results: []Param{revisionParam}, run: kvSet,
		Doc: "Stores a value, whatever was there before.",
	},
	{
		Name: "kv_cas", Right: rightKV, Params: []Param{keyParam, valueParam, {Name: "revision", Type: Int, Doc: "0: the key must have no value."}, ttlParam},
		Results: []Param{revisionParam}, Absent: "the key's revision is another one by now: read it, and try again", run: kvSwap,
		Doc: "Stores a value if nobody else has since the revision was read (compare and swap).",
	},
	{
		Name: "kv_delete", Right: rightKV, Params: []Param{keyParam}, run: kvDelete,
		Doc: "Removes a value, if there is one.",
	},
	{
		Name: "http_request", Right: rightHTTP,
		Params: []Param{
			{Name: "method", Type: Text, Doc: "GET, POST and so on."}, {Name: "url", Type: Text, Doc: "Its host must be in allow.http."},
			{Name: "headers", Type: JSON, Optional: true, Doc: "An object of texts."}, {Name: "body", Type: Bytes, Optional: true},
		},
		Results: []Param{
			{Name: "status", Type: Int}, {Name: "headers", Type: JSON, Doc: "An object of texts; the names are in lower case."},
			{Name: "body", Type: Bytes},
		},
		run: httpRequest,
		Doc: "Asks a web server, and waits for the answer, whatever its status is.",
	},
	{
		Name: "server_publish", Right: rightPublish,
		Params: []Param{
			{Name: "channel", Type: Text}, {Name: "data", Type: Bytes, Doc: "JSON, unless the channel's content is binary."},
			{Name: "tags", Type: JSON, Optional: true, Doc: "An object of texts."},
		},
		run: serverPublish,
		Doc: "Publishes to a channel in the server's name: no rule and no hook is asked. When it returns, the publication is on its way and in the history.",
	},
	{
		Name: "server_unsubscribe", Right: rightUnsubscribe, Params: []Param{userParam, clientParam, {Name: "channel", Type: Text}}, run: serverUnsubscribe,
		Doc: "Ends subscriptions to a channel. It is carried out soon after: who is not there is no error.",
	},
	{
		Name: "server_disconnect", Right: rightDisconnect,
		Params: []Param{
			userParam, clientParam, {Name: "code", Type: Int, Optional: true, Doc: "3000 to 4999; 0: 3503, force no reconnect."},
			{Name: "reason", Type: Text, Optional: true, Doc: "For the client."},
		},
		run: serverDisconnect,
		Doc: "Ends sessions. It is carried out soon after: who is not there is no error.",
	},
	{
		Name: "jwt_verify", Right: rightJWT, Params: []Param{{Name: "token", Type: Text}, keyNameParam},
		Results: []Param{{Name: "claims", Type: JSON}}, run: jwtVerify, anywhere: true,
		Doc: "Verifies a token's signature, and exp, nbf and iat if it has them. Of a token that is not good, the failure says why.",
	},
	{
		Name: "jwt_sign", Right: rightJWT, Params: []Param{{Name: "claims", Type: JSON, Doc: "An object."}, keyNameParam},
		Results: []Param{{Name: "token", Type: Text}}, run: jwtSign, anywhere: true,
		Doc: "Signs claims, which it leaves as they are: set exp yourself.",
	},
	{
		Name: "password_hash", Right: rightPassword, Params: []Param{passwordParam}, Results: []Param{hashParam}, run: passwordHash,
		Doc: "Makes a salted hash to be stored instead of a password (argon2id). It takes tens of milliseconds: give the plugin a longer deadline.",
	},
	{
		Name: "password_verify", Right: rightPassword, Params: []Param{passwordParam, hashParam},
		Results: []Param{{Name: "right", Type: Bool}}, run: passwordVerify,
		Doc: "Says whether a password is the one that was hashed. It takes as long.",
	},
	{
		Name: "metric_add", Params: []Param{
			{Name: "name", Type: Text, Doc: "Lower-case letters, digits and _; a plugin has at most 100 of them."},
			{Name: "number", Type: Int, Optional: true, Doc: "Not negative; 0: 1."},
		},
		run: metricAdd, anywhere: true,
		Doc: "Adds to a counter, which is zenconn_plugin_metric_total with the plugin and this name as labels.",
	},
	{
		Name: "random_bytes", Params: []Param{{Name: "number", Type: Int, Doc: "At most 1024."}}, Results: []Param{{Name: "bytes", Type: Bytes}},
		run: randomBytes, anywhere: true,
		Doc: "Makes random bytes, good enough for keys.",
	},
})

// Parameters and results that several functions have.
var (
	keyParam      = Param{Name: "key", Type: Text, Doc: "1 to 255 bytes of UTF-8. Every plugin has keys of its own."}
	valueParam    = Param{Name: "value", Type: Bytes, Doc: "At most 64 KiB."}
	revisionParam = Param{Name: "revision", Type: Int}
	ttlParam      = Param{Name: "ttl", Type: Duration, Optional: true, Doc: "How long it is kept; 0: for ever."}
	userParam     = Param{Name: "user", Type: Text, Optional: true, Doc: "All sessions of this user,"}
	clientParam   = Param{Name: "client", Type: Text, Optional: true, Doc: "or this session; one of both must be there."}
	keyNameParam  = Param{Name: "key", Type: Text, Doc: "One of the plugin's keys in the configuration; it fixes the algorithm."}
	passwordParam = Param{Name: "password", Type: Text, Doc: "At most 1024 bytes."}
	hashParam     = Param{Name: "hash", Type: Text, Doc: "A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…"}
)

func numbered(all []Function) []*Function {
	pointers := make([]*Function, len(all))
	for i := range all {
		all[i].index = i
		pointers[i] = &all[i]
	}
	return pointers
}

// Functions lists all functions. Nobody may change them.
func Functions() []*Function { return functions }
