package host

import (
	"context"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

// What may be published, and how long something may take that nobody waits for.
const (
	maxPublication = 1 << 20
	maxTags        = 16 << 10
	maxName        = 255 // Of channels and users.
	maxReason      = 123 // What a WebSocket's close frame has room for.
	actionTimeout  = 30 * time.Second
)

// action is what a plugin wants done to sessions. It is not done on the plugin's own goroutine: that may belong to one of these sessions,
// which is waiting for the plugin.
type action struct {
	plugin *Plugin
	name   string
	do     func(ctx context.Context, s Server) error
}

// act does what waits until ctx ends.
func (s *Services) act(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case next := <-s.actions:
			next.carryOut(ctx, *s.server.Load())
		}
	}
}

func (n action) carryOut(ctx context.Context, s Server) {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	result := "ok"
	if err := n.do(ctx, s); err != nil {
		result = "failed"
		n.plugin.log.Failed(n.name+" failed", err)
	}
	n.plugin.services.metrics.PluginActions(n.plugin.name, n.name, result, 1)
}

// later queues an action.
func (p *Plugin) later(name string, do func(ctx context.Context, s Server) error) error {
	if !p.services.running.Load() || p.services.server.Load() == nil {
		return errNotRunning
	}
	select {
	case p.services.actions <- action{p, name, do}:
		return nil
	default:
		p.services.metrics.PluginActions(p.name, name, "dropped", 1)
		return failure("too much is waiting to be done")
	}
}

func serverPublish(ctx context.Context, p *Plugin, c *Call) error {
	channel, data, tags := c.Args[0].Text, c.Args[1].Text, c.Args[2].Text
	if err := c.outside(hooks.OnAudit, hooks.OnChannel); err != nil {
		return err
	}
	if len(data) > maxPublication || len(tags) > maxTags {
		return failure("a publication has at most %d bytes, its tags %d", maxPublication, maxTags)
	}
	if err := checkChannel(channel); err != nil {
		return err
	}
	fields, err := texts(tags)
	if err != nil {
		return failure("the tags are not a JSON object of texts")
	}
	server := p.services.server.Load()
	if server == nil {
		return errNotRunning
	}
	return p.told(ctx, "server_publish", (*server).Publish(ctx, p.name, channel, []byte(data), fields))
}

// told makes what the plugin learns of what the server says.
func (p *Plugin) told(ctx context.Context, what string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if refusal, ok := errors.AsType[*core.Error](err); ok {
		return Failure(refusal.Message)
	}
	p.log.Failed(what+" failed", err)
	return Failure("the server could not do it")
}

func serverUnsubscribe(_ context.Context, p *Plugin, c *Call) error {
	user, client, channel := c.Args[0].Text, c.Args[1].Text, c.Args[2].Text
	if err := c.target(); err != nil {
		return err
	}
	if err := checkChannel(channel); err != nil {
		return err
	}
	return p.later("server_unsubscribe", func(ctx context.Context, s Server) error {
		return s.Unsubscribe(ctx, p.name, user, client, channel)
	})
}

func serverDisconnect(_ context.Context, p *Plugin, c *Call) error {
	user, client, code, reason := c.Args[0].Text, c.Args[1].Text, c.Args[2].Int, c.Args[3].Text
	if err := c.target(); err != nil {
		return err
	}
	d := core.DisconnectForceNoReconnect
	if code != 0 {
		if code < 3000 || code > 4999 {
			return failure("%d is no code that ends a session: those are 3000 to 4999", code)
		}
		d = core.Disconnect{Code: uint32(code), Reason: "disconnected by server"}
	}
	if reason != "" {
		if len(reason) > maxReason || !utf8.ValidString(reason) {
			return failure("the reason must be UTF-8, of %d bytes at most", maxReason)
		}
		d.Reason = reason
	}
	return p.later("server_disconnect", func(ctx context.Context, s Server) error {
		return s.Disconnect(ctx, p.name, user, client, d)
	})
}

// target checks whom something is done to.
func (c *Call) target() error {
	user, client := c.Args[0].Text, c.Args[1].Text
	switch {
	case user == "" && client == "":
		return failure("say whom it is for: a user, or a client")
	case len(user) > maxName || len(client) > maxName:
		return failure("names have at most %d bytes", maxName)
	}
	return c.outside(hooks.OnAudit, hooks.OnChannel)
}

func checkChannel(name string) error {
	if name == "" || len(name) > maxName {
		return failure("the channel's name has %d bytes; it must have 1 to %d", len(name), maxName)
	}
	return nil
}

// object says whether a text is a JSON object.
func object(text string) bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &fields) == nil && fields != nil
}
