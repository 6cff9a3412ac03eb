package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/zenconn/server/core"
)

// rules is what differs between the hooks.
type rules[E any] struct {
	hook              Hook
	firstAllowAnswers bool                                            // The first Allow ends the chain.
	mayDrop           bool                                            // Drop is a verdict of this hook.
	tells             bool                                            // It happened: verdicts mean nothing, and everybody is told.
	snapshot          func(event *E) E                                // What undoes a fault; shares nothing a plugin may write in place.
	inspect           func(verdict Verdict, before E, event *E) error // A fault when the plugin left something unfit for clients.
	describe          func(event *E) (*Client, string, core.ID)       // What a decision says about the event.
	decided           func(event *E, by core.ID)                      // Notes a decision that the observer was told of; nil: nobody asks.
}

var connectRules = rules[Connect]{
	hook: OnConnect,
	snapshot: func(e *Connect) Connect {
		s := *e
		if len(s.Subs) > 0 {
			s.Subs = maps.Clone(s.Subs)
		}
		if len(s.Grants) > 0 {
			s.Grants = slices.Clone(s.Grants)
		}
		return s
	},
	inspect: func(_ Verdict, before Connect, e *Connect) error {
		return errors.Join(inspectJSON("info", before.Info, e.Info), inspectJSON("data", before.Data, e.Data), inspectTime(e.ExpireAt))
	},
	describe: func(e *Connect) (*Client, string, core.ID) { return &e.Client, "", core.ID{} },
}

var subscribeRules = rules[Subscribe]{
	hook:     OnSubscribe,
	snapshot: func(e *Subscribe) Subscribe { return *e },
	inspect: func(_ Verdict, before Subscribe, e *Subscribe) error {
		return errors.Join(inspectJSON("info", before.Options.Info, e.Options.Info),
			inspectJSON("data", before.Options.Data, e.Options.Data), inspectTime(e.Options.ExpireAt))
	},
	describe: func(e *Subscribe) (*Client, string, core.ID) { return &e.Client, e.Channel, core.ID{} },
}

// A publication's data is inspected by the session: only it knows whether the channel carries JSON.
var publishRules = rules[Publish]{
	hook:     OnPublish,
	mayDrop:  true,
	snapshot: func(e *Publish) Publish { return *e },
	inspect:  func(_ Verdict, _ Publish, e *Publish) error { return inspectTime(e.ExpireAt) },
	describe: func(e *Publish) (*Client, string, core.ID) { return &e.Client, e.Channel, e.Message },
	decided:  func(e *Publish, by core.ID) { e.Decisions = append(e.Decisions, by) },
}

var rpcRules = rules[RPC]{
	hook:              OnRPC,
	firstAllowAnswers: true,
	snapshot:          func(e *RPC) RPC { return *e },
	inspect: func(v Verdict, before RPC, e *RPC) error {
		if v != Allow || e.Client.Protocol == "protobuf" {
			return nil
		}
		return inspectJSON("reply", before.Reply, e.Reply)
	},
	describe: func(e *RPC) (*Client, string, core.ID) { return &e.Client, "", core.ID{} },
}

var refreshRules = rules[Refresh]{
	hook:     OnRefresh,
	snapshot: func(e *Refresh) Refresh { return *e },
	inspect: func(_ Verdict, before Refresh, e *Refresh) error {
		return errors.Join(inspectJSON("info", before.Info, e.Info), inspectTime(e.ExpireAt))
	},
	describe: func(e *Refresh) (*Client, string, core.ID) { return &e.Client, e.Channel, core.ID{} },
}

var channelRules = rules[Channel]{
	hook:     OnChannel,
	snapshot: func(e *Channel) Channel { return *e },
	inspect:  func(_ Verdict, before Channel, e *Channel) error { return inspectOptions(before.Options, e.Options) },
	describe: func(e *Channel) (*Client, string, core.ID) { return nil, e.Channel, core.ID{} },
}

var sendRules = rules[Send]{
	hook:     OnSend,
	snapshot: func(e *Send) Send { return *e },
	inspect:  func(Verdict, Send, *Send) error { return nil },
	describe: func(e *Send) (*Client, string, core.ID) { return &e.Client, "", core.ID{} },
}

var unsubscribeRules = rules[Unsubscribe]{
	hook:     OnUnsubscribe,
	tells:    true,
	snapshot: func(e *Unsubscribe) Unsubscribe { return *e },
	inspect:  func(Verdict, Unsubscribe, *Unsubscribe) error { return nil },
	describe: func(e *Unsubscribe) (*Client, string, core.ID) { return &e.Client, e.Channel, core.ID{} },
}

var disconnectRules = rules[Disconnect]{
	hook:     OnDisconnect,
	tells:    true,
	snapshot: func(e *Disconnect) Disconnect { return *e },
	inspect:  func(Verdict, Disconnect, *Disconnect) error { return nil },
	describe: func(e *Disconnect) (*Client, string, core.ID) { return &e.Client, "", core.ID{} },
}

var auditRules = rules[Audit]{
	hook:     OnAudit,
	mayDrop:  true,
	snapshot: func(e *Audit) Audit { return *e },
	inspect: func(_ Verdict, before Audit, e *Audit) error {
		if e.RemoteAddr == "" || e.RemoteAddr == before.RemoteAddr {
			return nil
		}
		_, err := netip.ParseAddr(e.RemoteAddr)
		return err
	},
	describe: func(e *Audit) (*Client, string, core.ID) { return nil, e.Channel, core.ID{} },
}

// inspectJSON refuses what a plugin wrote and a JSON client could not read.
func inspectJSON(field string, before, after []byte) error {
	same := len(before) == len(after) && (len(after) == 0 || &before[0] == &after[0])
	if same || len(after) == 0 || json.Valid(after) {
		return nil
	}
	return fmt.Errorf("%s is not valid JSON: %.60q", field, after)
}

func inspectTime(expireAt int64) error {
	if expireAt < 0 {
		return fmt.Errorf("expire_at is %d; it must be seconds since 1970, or 0 for never", expireAt)
	}
	return nil
}

// ruleNames and slowPolicyNames are the configuration's words.
var (
	ruleNames       = []string{"nobody", "granted", "user", "anyone"}
	slowPolicyNames = []string{"disconnect", "drop_oldest", "conflate"}
)

// inspectOptions holds a channel's options to what the configuration demands of a namespace's.
func inspectOptions(before, o ChannelOptions) error {
	if o == before {
		return nil
	}
	oneOf := func(field, value string, names []string) error {
		if slices.Contains(names, value) {
			return nil
		}
		return fmt.Errorf("%s is %.40q; it must be one of %s", field, value, strings.Join(names, ", "))
	}
	errs := []error{
		oneOf("subscribe", o.Subscribe, ruleNames), oneOf("publish", o.Publish, ruleNames),
		oneOf("slow_consumer", o.SlowConsumer, slowPolicyNames),
	}
	if o.HistorySize < 0 || o.HistoryTTL < 0 || o.HistorySize > 0 && o.HistoryTTL == 0 {
		errs = append(errs, fmt.Errorf("a history of %d publications for %s cannot be kept", o.HistorySize, o.HistoryTTL))
	}
	if o.Recovery && o.HistorySize == 0 {
		errs = append(errs, errors.New("recovery needs a history"))
	}
	if o.Recovery && o.SlowConsumer != "disconnect" {
		errs = append(errs, fmt.Errorf("slow_consumer %s drops publications that recovery promises", o.SlowConsumer))
	}
	return errors.Join(errs...)
}

// check completes an answer, or says why it is none.
func (r *rules[E]) check(a Answer, before E, event *E) (Answer, error) {
	switch {
	case a.Verdict > Pass:
		return a, fmt.Errorf("unknown verdict %d", a.Verdict)
	case a.Verdict == Drop && !r.mayDrop:
		return a, errors.New("drop is a verdict for publications and audit events only")
	case r.tells:
		return Answer{Verdict: Pass}, nil
	case a.Verdict == Deny:
		return completeDenial(a)
	}
	return a, r.inspect(a.Verdict, before, event)
}

func completeDenial(a Answer) (Answer, error) {
	if a.Code == 0 {
		a.Code = core.ErrPermissionDenied.Code
	}
	if a.Code >= 2000 && a.Code < 3000 || a.Code >= 5000 {
		return a, fmt.Errorf("code %d is neither an error (1 to 1999) nor a disconnect (3000 to 4999)", a.Code)
	}
	if a.Reason == "" {
		a.Reason = standardReason(a.Code)
	}
	return a, nil
}

// standardReason is the client protocol's sentence for a code, and for the codes that are a plugin's own, that of 103.
func standardReason(code uint32) string {
	for _, e := range standardErrors {
		if e.Code == code {
			return e.Message
		}
	}
	for _, d := range standardDisconnects {
		if d.Code == code {
			return d.Reason
		}
	}
	return core.ErrPermissionDenied.Message
}

var standardErrors = [...]*core.Error{
	core.ErrInternal, core.ErrUnauthorized, core.ErrUnknownChannel, core.ErrPermissionDenied, core.ErrMethodNotFound,
	core.ErrAlreadySubscribed, core.ErrLimitExceeded, core.ErrBadRequest, core.ErrNotAvailable, core.ErrTokenExpired,
	core.ErrExpired, core.ErrTooManyRequests, core.ErrUnrecoverablePosition, core.ErrConcurrentPagination,
}

var standardDisconnects = [...]core.Disconnect{
	core.DisconnectConnectionClosed, core.DisconnectShutdown, core.DisconnectServerError, core.DisconnectExpired,
	core.DisconnectSubExpired, core.DisconnectSlow, core.DisconnectWriteError, core.DisconnectInsufficientState,
	core.DisconnectForceReconnect, core.DisconnectNoPong, core.DisconnectTooManyRequests, core.DisconnectStateInvalidated,
	core.DisconnectInvalidToken, core.DisconnectBadRequest, core.DisconnectStale, core.DisconnectForceNoReconnect,
	core.DisconnectConnectionLimit, core.DisconnectChannelLimit, core.DisconnectInappropriateProtocol,
	core.DisconnectPermissionDenied, core.DisconnectNotAvailable, core.DisconnectTooManyErrors,
}
