package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/scenario"
)

func newPluginReplayCommand(env *environment) *cobra.Command {
	var file, from, to, hook string
	var settings []string
	var asJSON bool
	samples := 20
	cmd := &cobra.Command{
		Use:   "replay --plugin FILE --from TIME [--to TIME]",
		Short: "Ask a version of a plugin about what was recorded, and say which decisions would change",
		Long: `Feeds recorded events to a plugin, and compares what it says with what became of them then. Nothing is published and nothing in the server
changes: what the plugin stores or does is forgotten, web servers cannot be reached, and the time is now.

--hook publish asks about messages, and needs their payloads (audit_payload: full). Messages that a plugin had changed, and those that were
refused, cannot be asked about: what the client sent is not recorded. --hook connect and --hook subscribe ask about connections and
decided subscriptions; tokens and the data of clients are not recorded, so a plugin that needs them answers otherwise.

A plugin that has no opinion leaves the matter as it was.`,
		Example: `  zenconn plugin replay --plugin new.lua --from 7d
  zenconn plugin replay --plugin new.lua --from 2026-11-01 --to 2026-11-02 --config 'words=[darn]' --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" || from == "" {
				return usageError("replay needs --plugin and --from")
			}
			r := &replay{ctx: cmd.Context(), samples: max(samples, 0), Hook: hook, Changes: map[string]int{}, Skipped: map[string]int{}}
			var err error
			if r.from, r.to, err = period("from", from, "to", to, time.Now()); err != nil {
				return err
			}
			ask, ok := map[string]func(*replay) error{"publish": (*replay).publish, "connect": (*replay).connect, "subscribe": (*replay).subscribe}[hook]
			if !ok {
				return usageError(fmt.Sprintf("--hook: want publish, connect or subscribe, not %q", hook))
			}
			values, err := scenario.Settings(settings)
			if err != nil {
				return usageError("--config: " + err.Error())
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			p, remove, err := env.readPlugin(file, loaded.Config.Plugins)
			if err != nil {
				return err
			}
			r.name = p.name
			if r.store, err = store.OpenReader(loaded.Config.Audit, loaded.Config.Data); err != nil {
				return errors.Join(err, remove())
			}
			stage, err := scenario.Empty(values, host.Rights{}).Open(cmd.Context(), p.load)
			if err != nil {
				return errors.Join(err, r.store.Close(), remove())
			}
			stage.Ignore()
			r.stage = stage
			err = errors.Join(ask(r), stage.Close(), r.store.Close(), remove())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(env.stdout)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				return encoder.Encode(r)
			}
			return r.print(env.stdout)
		},
	}
	cmd.Flags().StringVar(&file, "plugin", "", "the plugin's `FILE`")
	cmd.Flags().StringVar(&from, "from", "", "what was recorded from this `TIME` on")
	cmd.Flags().StringVar(&to, "to", "", "and before this `TIME`; without: until now")
	cmd.Flags().StringVar(&hook, "hook", "publish", "what the plugin is asked: publish, connect or subscribe")
	cmd.Flags().StringArrayVar(&settings, "config", nil, "a value of the plugin's configuration, as `NAME=VALUE`; the value is YAML; repeatable")
	cmd.Flags().IntVar(&samples, "samples", samples, "how many changed decisions are shown")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// replay asks a plugin about what was recorded.
type replay struct {
	ctx      context.Context
	store    store.Reader
	stage    *scenario.Stage
	name     string // The plugin's.
	from, to time.Time
	samples  int

	Hook    string         `json:"hook"`
	Asked   int            `json:"asked"`
	Same    int            `json:"same"`
	Changes map[string]int `json:"changes"` // "allow → reject", by number.
	Skipped map[string]int `json:"skipped"` // Events that could not be asked about, by reason.
	Samples []changed      `json:"samples"`
}

// changed is a decision that would change.
type changed struct {
	At      time.Time `json:"at"`
	ID      string    `json:"id"` // Of the message, or the session.
	User    string    `json:"user"`
	Channel string    `json:"channel,omitempty"`
	Was     string    `json:"was"`
	Now     string    `json:"now"`
	Reason  string    `json:"reason,omitempty"`
}

func (r *replay) within(column string) string {
	where := "WHERE " + column + " >= " + stored.Time(r.from)
	if !r.to.IsZero() {
		where += " AND " + column + " < " + stored.Time(r.to)
	}
	return where
}

// publish asks about messages.
func (r *replay) publish() error {
	clients, err := r.clients("session IN (SELECT session FROM audit_messages " + r.within("at") + ")")
	if err != nil {
		return err
	}
	others := map[core.ID]bool{} // Messages that another plugin has dropped.
	for d, err := range stored.Decisions(r.ctx, r.store, r.within("at")+" AND hook = 'publish' AND verdict = 'drop' AND plugin <> "+stored.Text(r.name)) {
		if err != nil {
			return err
		}
		others[d.Message] = true
	}
	for m, err := range stored.Messages(r.ctx, r.store, r.within("at")+" ORDER BY at") {
		if err != nil {
			return err
		}
		switch {
		case m.Session.IsZero():
			r.Skipped["the server itself published it, which no plugin is asked about"]++
			continue
		case m.Verdict == audit.MessageModify:
			r.Skipped["a plugin had changed it, and what the client sent is not recorded"]++
			continue
		case len(m.Payload) == 0:
			r.Skipped["its payload was not kept (audit_payload, or an audit hook)"]++
			continue
		case others[m.ID]:
			r.Skipped["another plugin had dropped it"]++
			continue
		}
		e := hooks.Publish{Client: clients.of(m.Session, m.User), Channel: m.Channel, Message: m.ID, Data: m.Payload}
		e.Client.Name = m.ClientID
		if err := r.ask(scenario.Publishing(e), string(m.Verdict), "allow", changed{At: m.At, ID: m.ID.String(), User: m.User, Channel: m.Channel}); err != nil {
			return err
		}
	}
	return r.countRefused("publish", "it had been refused, and its payload is not recorded then")
}

func (r *replay) countRefused(hook, why string) error {
	refused := map[core.ID]bool{}
	for d, err := range stored.Decisions(r.ctx, r.store, r.within("at")+" AND hook = '"+hook+"' AND verdict IN ('reject', 'error', 'timeout')") {
		if err != nil {
			return err
		}
		refused[cmp.Or(d.Message, d.ID)] = true
	}
	if len(refused) > 0 {
		r.Skipped[why] += len(refused)
	}
	return nil
}

// connect asks about connections: those that were opened, and those that were refused.
func (r *replay) connect() error {
	for s, err := range stored.Sessions(r.ctx, r.store, r.within("connected_at")+" ORDER BY connected_at") {
		if err != nil {
			return err
		}
		e := hooks.Connect{Client: clientOf(s), User: s.User}
		e.Client.User = ""
		if err := r.ask(scenario.Connecting(e), "allow", "allow", changed{At: s.ConnectedAt, ID: s.Session.String(), User: s.User}); err != nil {
			return err
		}
	}
	return r.decided("connect", func(d *audit.Decision, _ hooks.Client) scenario.Event {
		return scenario.Connecting(hooks.Connect{Client: hooks.Client{ID: d.Session.String(), RemoteAddr: d.RemoteAddr.String(), Header: noHeaders}, User: d.User})
	}, "verdict = 'reject'")
}

// subscribe asks about subscriptions that somebody had decided about.
func (r *replay) subscribe() error {
	return r.decided("subscribe", func(d *audit.Decision, c hooks.Client) scenario.Event {
		return scenario.Subscribing(hooks.Subscribe{Client: c, Channel: d.Channel})
	}, "verdict IN ('allow', 'modify', 'reject')")
}

// decided asks about what was decided by this plugin, or by the server's rules.
func (r *replay) decided(hook string, event func(*audit.Decision, hooks.Client) scenario.Event, of string) error {
	where := r.within("at") + " AND hook = '" + hook + "' AND " + of
	clients, err := r.clients("session IN (SELECT session FROM audit_decisions " + where + ")")
	if err != nil {
		return err
	}
	for d, err := range stored.Decisions(r.ctx, r.store, where+" ORDER BY at") {
		if err != nil {
			return err
		}
		if d.Plugin != r.name && d.Plugin != "server" {
			r.Skipped["another plugin had decided"]++
			continue
		}
		was, passed := string(d.Verdict), string(d.Verdict)
		if d.Plugin == r.name {
			passed = "left to the rules"
		}
		if err := r.ask(event(d, clients.of(d.Session, d.User)), was, passed, changed{At: d.At, ID: d.Session.String(), User: d.User, Channel: d.Channel}); err != nil {
			return err
		}
	}
	return nil
}

// ask asks the plugin. was is what became of the event, passed what becomes of it when the plugin has no opinion.
func (r *replay) ask(e scenario.Event, was, passed string, about changed) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.Asked++
	answer, fault := r.stage.Ask(r.ctx, e)
	now := passed
	switch {
	case fault != nil:
		now, about.Reason = "error", fault.Error()
	case answer.Verdict == hooks.Deny:
		now, about.Reason = "reject", answer.Reason
	case answer.Verdict == hooks.Drop:
		now = "drop"
	case answer.Modified:
		now = "modify"
	case answer.Verdict == hooks.Allow:
		now = "allow"
	}
	if now == was {
		r.Same++
		return nil
	}
	r.Changes[was+" → "+now]++
	if len(r.Samples) < r.samples {
		about.Was, about.Now = was, now
		r.Samples = append(r.Samples, about)
	}
	return nil
}

// clients are the sessions that events are of.
type clients map[core.ID]hooks.Client

func (r *replay) clients(where string) (clients, error) {
	all := clients{}
	for s, err := range stored.Sessions(r.ctx, r.store, "WHERE "+where) {
		if err != nil {
			return nil, err
		}
		all[s.Session] = clientOf(s)
	}
	return all, nil
}

func (c clients) of(session core.ID, user string) hooks.Client {
	client, ok := c[session]
	if !ok {
		client = hooks.Client{ID: session.String(), Header: noHeaders}
	}
	client.User = user
	return client
}

func clientOf(s *audit.Session) hooks.Client {
	return hooks.Client{
		ID: s.Session.String(), User: s.User, RemoteAddr: s.RemoteAddr.String(), Transport: s.Transport, Protocol: s.Protocol,
		UserAgent: s.UserAgent, Header: noHeaders,
	}
}

// noHeaders stands for the handshake, which is not recorded.
func noHeaders(string) string { return "" }

func (r *replay) print(w io.Writer) error {
	stays := "decisions stay"
	if r.Same == 1 {
		stays = "decision stays"
	}
	fmt.Fprintf(w, "%s replayed, %d %s the same\n", count(r.Asked, "event"), r.Same, stays)
	for _, change := range slices.Sorted(maps.Keys(r.Changes)) {
		fmt.Fprintf(w, "%d would change: %s\n", r.Changes[change], change)
	}
	skipped := 0
	for _, n := range r.Skipped {
		skipped += n
	}
	if skipped > 0 {
		fmt.Fprintf(w, "%s could not be replayed:\n", count(skipped, "event"))
	}
	for _, why := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "  %d: %s\n", r.Skipped[why], why)
	}
	if len(r.Samples) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, terminalWidth(w))
	if err := t.columns([]string{"at", "user", "channel", "was", "now", "reason", "id"}); err != nil {
		return err
	}
	for _, s := range r.Samples {
		if err := t.row([]any{s.At.UTC().Format("2006-01-02 15:04:05.000"), s.User, s.Channel, s.Was, s.Now, s.Reason, s.ID}); err != nil {
			return err
		}
	}
	return t.end()
}
