package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/zenconn/server/core"
)

// What one batch may hold.
const (
	maxBatch      = 10_000 // Commands.
	batchParallel = 32     // Commands at a time, when they may be carried out in parallel.
)

var errBatchTooLong = core.ErrLimitExceeded.Saying(fmt.Sprintf("a batch holds at most %d commands", maxBatch))

type batchRequest struct {
	Commands []map[string]json.RawMessage `json:"commands"` // Each has one member, whose name is the method.
	Parallel bool                         `json:"parallel,omitempty"`
}

type batchAnswer struct {
	Replies []map[string]any `json:"replies"` // Each has one member, whose name is the method or "error".
}

// batch answers /api/batch: many commands in one request, each counted and recorded like one of its own.
func (c *Commands) batch(ctx context.Context, r *http.Request, body []byte) (int, []byte) {
	started := time.Now()
	from := callerOf(r)
	var req batchRequest
	err := decode(body, &req)
	if len(req.Commands) > maxBatch {
		err = errBatchTooLong
	}
	if refused := c.refusal("batch", err); refused != nil {
		c.note(from, "batch", "", nil, refused, started)
		return statusOf(refused.Code), mustJSON(refusedReply(refused))
	}
	answer := batchAnswer{Replies: make([]map[string]any, len(req.Commands))}
	most := 1
	if req.Parallel {
		most = batchParallel
	}
	inParallel(len(req.Commands), most, func(i int) {
		answer.Replies[i] = c.one(ctx, from, req.Commands[i])
	})
	c.options.Metrics.APIRequest("batch", 0, time.Since(started))
	return http.StatusOK, mustJSON(answer)
}

// one carries out one command of a batch.
func (c *Commands) one(ctx context.Context, from netip.Addr, command map[string]json.RawMessage) map[string]any {
	if len(command) != 1 {
		refused := core.ErrBadRequest.Saying("a command is an object with one member, whose name is the method")
		c.note(from, "unknown", "", nil, refused, time.Now())
		return map[string]any{"error": refusedReply(refused).Error}
	}
	for method, body := range command {
		result, refused := c.execute(ctx, from, method, body)
		if refused != nil {
			return map[string]any{"error": refusedReply(refused).Error}
		}
		return map[string]any{method: result}
	}
	return nil
}

// line is a command in the older form of the API, which some server libraries still speak.
type line struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// lines answers /api: commands one after the other, each a JSON object with method and params, and as many answers in the same form.
func (c *Commands) lines(ctx context.Context, r *http.Request, body []byte) (int, []byte) {
	started := time.Now()
	from := callerOf(r)
	commands, err := readLines(body)
	if refused := c.refusal("lines", err); refused != nil {
		c.note(from, "lines", "", nil, refused, started)
		return statusOf(refused.Code), mustJSON(refusedReply(refused))
	}
	var answer bytes.Buffer
	for _, command := range commands {
		result, refused := c.execute(ctx, from, command.Method, command.Params)
		if refused != nil {
			answer.Write(mustJSON(refusedReply(refused)))
		} else {
			answer.Write(mustJSON(reply{Result: result}))
		}
	}
	c.options.Metrics.APIRequest("lines", 0, time.Since(started))
	return http.StatusOK, answer.Bytes()
}

// readLines reads all commands before the first is carried out, so that nothing is half done for a request that is no good.
func readLines(body []byte) ([]line, error) {
	var all []line
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		var command line
		err := decoder.Decode(&command)
		switch {
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, nil
		case err != nil:
			return nil, core.ErrBadRequest.Saying(`want commands such as {"method":"publish","params":{…}}; see ` + openAPIPath)
		case len(all) == maxBatch:
			return nil, errBatchTooLong
		}
		all = append(all, command)
	}
}
