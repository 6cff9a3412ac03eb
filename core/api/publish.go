package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// content is what a publication says, in both methods that publish.
type content struct {
	Data           json.RawMessage   `json:"data,omitempty"`
	B64Data        string            `json:"b64data,omitempty"` // Instead of data: Base64, for what is not JSON.
	SkipHistory    bool              `json:"skip_history,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	IdempotencyKey string            `json:"idempotency_key,omitempty"`
	Delta          bool              `json:"delta,omitempty"` // Taken, and without effect: no subscriber can ask this server for deltas.
	Version        uint64            `json:"version,omitempty"`
	VersionEpoch   string            `json:"version_epoch,omitempty"`
}

// outgoing checks the content. Its channel is empty.
func (c *content) outgoing() (session.Outgoing, error) {
	if c.Version != 0 || c.VersionEpoch != "" {
		return session.Outgoing{}, core.ErrNotAvailable.Saying("publications have no versions here; idempotency_key prevents repetitions")
	}
	data, err := oneOf("data", c.Data, c.B64Data)
	if err != nil {
		return session.Outgoing{}, err
	}
	if data == nil {
		return session.Outgoing{}, core.ErrBadRequest.Saying("data is missing")
	}
	return session.Outgoing{Data: data, Tags: c.Tags, SkipHistory: c.SkipHistory, IdempotencyKey: c.IdempotencyKey}, nil
}

// shown is the content for the audit, without the payload.
func (c content) shown() content {
	c.Data, c.B64Data = nil, ""
	return c
}

// oneOf returns a field that comes as JSON or, with b64 before its name, in Base64; nil when it came in neither way.
func oneOf(name string, raw json.RawMessage, encoded string) ([]byte, error) {
	if encoded == "" {
		return raw, nil
	}
	if raw != nil {
		return nil, core.ErrBadRequest.Saying(fmt.Sprintf("%s and b64%s exclude each other", name, name))
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, core.ErrBadRequest.Saying("b64" + name + " is not standard Base64")
	}
	return data, nil
}

type publishRequest struct {
	Channel string `json:"channel"`
	content
}

type publishResult struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

func (r *publishRequest) about() (string, any) {
	return r.Channel, publishRequest{Channel: r.Channel, content: r.shown()}
}

func (r *publishRequest) run(ctx context.Context, c *Commands) (any, error) {
	o, err := r.outgoing()
	if err != nil {
		return nil, err
	}
	o.Channel = r.Channel
	at, err := c.cluster.Publish(ctx, o)
	return publishResult(at), err
}

type broadcastRequest struct {
	Channels []string `json:"channels"`
	content
}

type broadcastResult struct {
	Responses []reply `json:"responses"`
}

// What one broadcast may ask for.
const (
	maxBroadcast      = 10_000 // Channels.
	broadcastParallel = 32     // Publications at a time.
)

func (r *broadcastRequest) about() (string, any) {
	return strings.Join(r.Channels, " "), broadcastRequest{Channels: r.Channels, content: r.shown()}
}

// run publishes in each channel by itself: some may fail while others succeed.
func (r *broadcastRequest) run(ctx context.Context, c *Commands) (any, error) {
	o, err := r.outgoing()
	switch {
	case err != nil:
		return nil, err
	case len(r.Channels) == 0:
		return nil, core.ErrBadRequest.Saying("channels is missing or empty")
	case len(r.Channels) > maxBroadcast:
		return nil, core.ErrLimitExceeded.Saying(fmt.Sprintf("a broadcast goes to at most %d channels", maxBroadcast))
	}
	result := broadcastResult{Responses: make([]reply, len(r.Channels))}
	inParallel(len(r.Channels), broadcastParallel, func(i int) {
		one := o
		one.Channel = r.Channels[i]
		at, err := c.cluster.Publish(ctx, one)
		if refused := c.refusal("broadcast", err); refused != nil {
			result.Responses[i] = refusedReply(refused)
		} else {
			result.Responses[i] = reply{Result: publishResult(at)}
		}
	})
	return result, nil
}
