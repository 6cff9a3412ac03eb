package node

import (
	"context"
	"net/netip"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/hooks"
)

// redactor has the plugins look at audit events before they are stored.
type redactor struct {
	metrics *metrics.Metrics
	chain   *hooks.Chain // Set before the recorder runs: the chain's observer needs the recorder.
}

// tagRedaction is the tag of a message whose content was withheld: "failed" by a plugin's fault, "withheld" by its word.
const tagRedaction = "redaction"

// Redact implements audit.Redactor.
func (r *redactor) Redact(ctx context.Context, e audit.Event) audit.Event {
	if !r.chain.Has(hooks.OnAudit) {
		return e
	}
	event := seen(e)
	answer := r.chain.Audit(ctx, event)
	switch {
	case answer.Verdict == hooks.Drop:
		r.count(event, "dropped")
		return nil
	case answer.Verdict == hooks.Deny:
		why := "withheld"
		if answer.Code == core.ErrInternal.Code {
			why = "failed"
		}
		r.count(event, why)
		event.User, event.Payload, event.RemoteAddr, event.Reason = "", nil, "", ""
		event.Tags = map[string]string{tagRedaction: why}
	case answer.Modified:
		r.count(event, "changed")
	default:
		return e
	}
	return rewritten(e, event)
}

func (r *redactor) count(event *hooks.Audit, result string) {
	r.metrics.Redactions.WithLabelValues(event.Kind, result).Inc()
}

// seen is an event as a plugin sees it.
func seen(e audit.Event) *hooks.Audit {
	switch e := e.(type) {
	case *audit.Message:
		return &hooks.Audit{Kind: "message", Channel: e.Channel, User: e.User, Payload: e.Payload, Tags: e.Tags}
	case *audit.Session:
		return &hooks.Audit{Kind: "session", User: e.User, RemoteAddr: text(e.RemoteAddr), Reason: e.CloseReason}
	case *audit.Decision:
		return &hooks.Audit{Kind: "decision", Channel: e.Channel, Hook: e.Hook, User: e.User, RemoteAddr: text(e.RemoteAddr), Reason: e.Reason}
	case *audit.Action:
		return &hooks.Audit{
			Kind: "action", Action: e.Action, User: e.Actor, Payload: []byte(e.Request), RemoteAddr: text(e.RemoteAddr), Reason: e.Error,
		}
	}
	return &hooks.Audit{}
}

// rewritten is a copy of an event that says what a plugin left of it.
func rewritten(e audit.Event, by *hooks.Audit) audit.Event {
	addr, _ := netip.ParseAddr(by.RemoteAddr) // The chain has checked it; none is the zero one.
	switch e := e.(type) {
	case *audit.Message:
		c := *e
		c.User, c.Payload, c.Tags = by.User, by.Payload, by.Tags
		return &c
	case *audit.Session:
		c := *e
		c.User, c.RemoteAddr, c.CloseReason = by.User, addr, by.Reason
		return &c
	case *audit.Decision:
		c := *e
		c.User, c.RemoteAddr, c.Reason = by.User, addr, by.Reason
		return &c
	case *audit.Action:
		c := *e
		c.Actor, c.Request, c.RemoteAddr, c.Error = by.User, string(by.Payload), addr, by.Reason
		return &c
	}
	return e
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
