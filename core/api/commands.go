package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
)

// request is the body of one method, read from JSON.
type request interface {
	// run carries the request out, through c's Cluster. The result is written as JSON.
	run(ctx context.Context, c *Commands) (result any, err error)

	// about returns what the audit says: whom or what the request is about, and the request without its payload, which is the
	// business of the namespace's audit_payload.
	about() (target string, request any)
}

// methods are the methods that a batch may hold, with what makes their empty request.
var methods = map[string]func() request{
	"publish":        func() request { return new(publishRequest) },
	"broadcast":      func() request { return new(broadcastRequest) },
	"subscribe":      func() request { return new(subscribeRequest) },
	"unsubscribe":    func() request { return new(unsubscribeRequest) },
	"disconnect":     func() request { return new(disconnectRequest) },
	"refresh":        func() request { return new(refreshRequest) },
	"send":           func() request { return new(sendRequest) },
	"rpc":            func() request { return new(rpcRequest) },
	"presence":       func() request { return new(presenceRequest) },
	"presence_stats": func() request { return new(presenceStatsRequest) },
	"history":        func() request { return new(historyRequest) },
	"history_remove": func() request { return new(historyRemoveRequest) },
	"channels":       func() request { return new(channelsRequest) },
	"info":           func() request { return new(infoRequest) },
	"users":          func() request { return new(usersRequest) },
	"user_status":    func() request { return new(userStatusRequest) },
	"sessions":       func() request { return new(sessionsRequest) },
	"status":         func() request { return new(statusRequest) },
	"restart":        func() request { return new(restartRequest) },
	"plugins":        func() request { return new(pluginsRequest) },
	"reload":         func() request { return new(reloadRequest) },
	"audit_retry":    func() request { return new(auditRetryRequest) },
}

// Options are what the server API is made of.
type Options struct {
	Key         string // Opens the API; empty: it is closed, unless Insecure.
	Insecure    bool   // Open it without a key, to programs on this machine.
	RequestSize int    // Largest body, in bytes.
	Node        string // Name of the node, for the audit.
	Cluster     Cluster
	Fleet       Fleet    // nil: status and restart are not available.
	Plugins     Plugins  // nil: plugins is not available.
	Reloader    Reloader // nil: reload is not available.
	Audit       Audit    // nil: audit_retry is not available.
	Profiler    Profiler // nil: there are no profiles.
	Recorder    session.Recorder
	Metrics     *metrics.Metrics
	Log         *slog.Logger
}

// Commands carries out the methods of the server API.
type Commands struct {
	options Options
	cluster Cluster
	gate    *gate
}

// NewCommands makes the server API.
func NewCommands(o Options) *Commands {
	return &Commands{options: o, cluster: o.Cluster, gate: newGate(o.Key, o.Insecure)}
}

// execute carries out one method for who asks from that address, and writes it down.
func (c *Commands) execute(ctx context.Context, from netip.Addr, method string, body []byte) (result any, refused *core.Error) {
	started := time.Now()
	empty, known := methods[method]
	if !known {
		c.note(from, "unknown", "", nil, core.ErrMethodNotFound, started)
		return nil, core.ErrMethodNotFound
	}
	req := empty()
	var target string
	var shown any
	err := decode(body, req)
	if err == nil {
		target, shown = req.about()
		result, err = req.run(ctx, c)
	}
	refused = c.refusal(method, err)
	c.note(from, method, target, shown, refused, started)
	if refused != nil {
		return nil, refused
	}
	return result, nil
}

// reply is how a result or an error is told.
type reply struct {
	Error  *problem `json:"error,omitempty"`
	Result any      `json:"result,omitempty"`
}

type problem struct {
	Code    uint32 `json:"code"`
	Message string `json:"message"`
}

func refusedReply(err *core.Error) reply { return reply{Error: &problem{err.Code, err.Message}} }

// errMalformed is the cause when a body cannot be read at all.
var errMalformed = errors.New("malformed request")

// decode reads a body. An empty one stands for an empty request. Unknown fields are ignored, as the public API does.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	why := "the body is not JSON: " + err.Error()
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		why = "the body is not a JSON object"
		if wrong.Field != "" {
			why = fmt.Sprintf("the field %s cannot be a JSON %s", wrong.Field, wrong.Value)
		}
	}
	return core.ErrBadRequest.Saying(why).Because(errMalformed)
}

// refusal turns an error into what the caller is told. What is not meant for it goes to the log.
func (c *Commands) refusal(method string, err error) *core.Error {
	if err == nil {
		return nil
	}
	if d, ok := errors.AsType[core.Disconnect](err); ok { // A plugin's answer to a call; nobody is there to be disconnected.
		return &core.Error{Code: core.ErrPermissionDenied.Code, Message: d.Reason}
	}
	coded, ok := errors.AsType[*core.Error](err)
	if !ok {
		coded = core.ErrInternal.Because(err)
	}
	if coded.Code == core.ErrInternal.Code {
		c.options.Log.Error("a request to the server API failed", "method", method, "error", err)
	}
	return coded
}

// note counts and records one call.
func (c *Commands) note(from netip.Addr, method, target string, shown any, refused *core.Error, started time.Time) {
	took := time.Since(started)
	event := &audit.Action{
		At: started, ID: core.NewID(), Node: c.options.Node, Actor: "api", ActorKind: "api", Action: method, Target: shorten(target, maxTarget),
		OK: refused == nil, RemoteAddr: from, Request: show(shown), Latency: took,
	}
	code := uint32(0)
	if refused != nil {
		code = refused.Code
		event.Error = refused.Error()
	}
	c.options.Metrics.APIRequest(method, code, took)
	c.options.Recorder.Record(event)
}

// What an action in the audit holds at most, in bytes.
const (
	maxTarget = 255
	maxShown  = 1024
)

func show(request any) string {
	if request == nil {
		return ""
	}
	text, err := toJSON(request)
	if err != nil {
		return ""
	}
	return shorten(strings.TrimSpace(string(text)), maxShown)
}

// shorten cuts a text between two characters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// toJSON writes a value and a newline. Unlike json.Marshal it leaves <, > and & in the payload as they are.
func toJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return b.Bytes(), err
}
