package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

func (s *Session) publish(cmd *protocol.Command) error {
	req := cmd.Publish
	ns, bad := s.node.Namespaces.Resolve(req.Channel)
	if bad != nil {
		return bad
	}
	if len(req.Data) == 0 {
		return core.ErrBadRequest.Saying("data is empty")
	}
	if !ns.Binary && s.format != protocol.JSON && !protocol.ValidJSON(req.Data) {
		return core.ErrBadRequest.Saying("data is not JSON")
	}
	out := outgoings.Get().(*outgoing)
	*out = outgoing{
		session: s, command: cmd.Id, ns: ns, excludeSender: ns.ExcludeSender,
		pub: newPublication(core.Publication{ID: core.NewID(), Channel: req.Channel, Data: req.Data}),
	}
	if s.mayWait(ns) {
		s.Flush()
	}
	var err error
	if out.verdict, err = s.mayPublish(out); err != nil {
		return err
	}
	if err := s.node.admit(context.Background()); err != nil {
		return err
	}
	if out.verdict == audit.MessageDrop {
		s.await(0)
		if err := s.recordMessage(out); err != nil {
			return err
		}
		s.reply(&protocol.Reply{Id: cmd.Id, Publish: &protocol.PublishResult{}})
		return nil
	}
	return s.hand(out)
}

// mayWait reports whether a publication in the namespace may have to wait for something.
func (s *Session) mayWait(ns *channel.Namespace) bool {
	return ns.HistorySize > 0 || s.node.Durability != nil || s.node.Hooks.Has(hooks.OnPublish)
}

// outgoing is a client's publication on its way, with where and how it goes.
type outgoing struct {
	session       *Session
	command       uint32 // Its number, for the answer.
	pub           *core.Publication
	decisions     []core.ID // Of plugins, about it.
	verdict       audit.MessageVerdict
	ns            *channel.Namespace // Of pub.Channel.
	skipHistory   bool
	excludeSender bool
	fate
}

// outgoings are those that were answered.
var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// release leaves the memory to the next one. Nobody has it any more: the hub and the list of what is under way are done with it.
func (o *outgoing) release() {
	*o = outgoing{}
	outgoings.Put(o)
}

// newPublication returns a publication with room for its publisher's info, both in one piece of memory: they live as long as each other.
func newPublication(pub core.Publication) *core.Publication {
	whole := &struct {
		core.Publication
		info core.ClientInfo
	}{Publication: pub}
	whole.Info = &whole.info
	return &whole.Publication
}

// Faults of the owner's plugin; the client only learns that something went wrong.
var (
	errPluginData    = errors.New("a plugin turned the data of a publication into something that is not JSON")
	errPluginChannel = errors.New("a plugin redirected a publication to a channel that does not exist or is not for it")
)

// mayPublish decides about a publication, by the namespace's rule or a grant, and by the plugins, which may also change it and where it
// goes. Their word outweighs the rule. A channel for nobody stays closed whoever asks.
func (s *Session) mayPublish(out *outgoing) (audit.MessageVerdict, error) {
	pub := out.pub
	allowed := s.permitted(out.ns.Publish, core.MayPublish, pub.Channel)
	verdict := audit.MessageAllow
	var event *hooks.Publish
	if out.ns.Publish != channel.Nobody && s.node.Hooks.Has(hooks.OnPublish) {
		event = &hooks.Publish{Client: s.client, Channel: pub.Channel, Message: pub.ID, Data: pub.Data}
		answer := s.node.Hooks.Publish(context.Background(), event)
		out.decisions = event.Decisions
		switch answer.Verdict {
		case hooks.Deny:
			return "", denial(answer)
		case hooks.Drop:
			return audit.MessageDrop, nil
		case hooks.Allow:
			allowed = true
		case hooks.Pass:
		}
		if answer.Modified {
			verdict = audit.MessageModify
		}
	}
	if !allowed {
		s.node.decided(s, hooks.OnPublish, pub.Channel, "the namespace's rule does not let this client publish")
		return "", core.ErrPermissionDenied
	}
	if verdict == audit.MessageModify {
		if err := s.modify(out, event); err != nil {
			return "", err
		}
	}
	return verdict, nil
}

// modify takes over what plugins wrote. A redirected publication goes by the options of its new channel, but no rule and no hook is asked
// again: who may publish there is not the publisher's, but the plugin's to say.
func (s *Session) modify(out *outgoing, event *hooks.Publish) error {
	pub := out.pub
	pub.Data, pub.Tags, pub.ExpireAt = event.Data, event.Tags, event.ExpireAt
	if event.Redirect != "" && event.Redirect != pub.Channel {
		ns, bad := s.node.Namespaces.Resolve(event.Redirect)
		if bad != nil {
			return fmt.Errorf("%w: %.100q: %s", errPluginChannel, event.Redirect, bad.Message) // Not wrapped: not for the client.
		}
		if ns.Reserved {
			return fmt.Errorf("%w: %.100q: only the server itself publishes there", errPluginChannel, event.Redirect)
		}
		pub.Channel, out.ns, out.excludeSender = event.Redirect, ns, ns.ExcludeSender
	}
	out.skipHistory, out.excludeSender = event.SkipHistory, option(event.ExcludeSender, out.excludeSender)
	if len(pub.Data) == 0 || !out.ns.Binary && !protocol.ValidJSON(pub.Data) {
		return errPluginData
	}
	return nil
}

// hand gives an allowed publication to the hub and answers it, now or when the history has it.
func (s *Session) hand(out *outgoing) error {
	ns, pub := out.ns, out.pub
	chanInfo, listens := s.infoIn(pub.Channel)
	*pub.Info = s.clientInfo(chanInfo)
	now := time.Now()
	pub.Time = now.UnixMilli()
	except := core.ID{}
	if out.excludeSender {
		except = s.id
	}
	if out.skipHistory {
		ns = fleeting(ns)
	}
	s.await(maxUnderWay - 1)
	if listens && !out.excludeSender && !s.mayWait(ns) {
		s.hold() // It leaves with the answer.
	}
	s.node.Hub.Start(now.Add(s.node.patience()), ns, pub, except, out)
	if out.stage.Load() == handing || !s.idle() {
		s.list(out)
		return nil
	}
	if out.err == nil {
		out.err = s.settle(out)
	}
	err := out.err
	if err == nil {
		s.reply(&protocol.Reply{Id: out.command, Publish: &protocol.PublishResult{}})
	}
	out.release()
	return err
}

// infoIn returns what others see of the session in a channel, besides what they see everywhere, and whether it is subscribed to it.
func (s *Session) infoIn(name string) (info []byte, listens bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub := s.subs.of(name); sub != nil {
		return sub.info(), true
	}
	return nil, false
}

// fleeting returns the namespace's options for a publication that is delivered and not kept.
func fleeting(ns *channel.Namespace) *channel.Namespace {
	if ns.HistorySize <= 0 {
		return ns
	}
	without := *ns
	without.HistorySize = 0
	return &without
}

func (s *Session) recordMessage(out *outgoing) error {
	if s.node.Unrecorded {
		return nil
	}
	m := s.node.message(out.ns, out.pub, out.verdict, out.out.Deliveries)
	m.Decisions = out.decisions
	m.User, m.Session, m.ClientID = s.client.User, s.id, s.client.Name
	return s.node.recordMessage(context.Background(), m)
}

// message makes the record of a publication, without its publisher.
func (n *Node) message(ns *channel.Namespace, pub *core.Publication, verdict audit.MessageVerdict, deliveries int) *audit.Message {
	m := &audit.Message{
		At: time.Now(), ID: pub.ID, Node: n.Name, Namespace: ns.Name, Channel: pub.Channel, Offset: pub.Offset,
		Size: uint32(len(pub.Data)), Deliveries: uint32(deliveries), Verdict: verdict, ContentType: "application/json", Tags: pub.Tags,
	}
	if ns.Binary {
		m.ContentType = "application/octet-stream"
	}
	switch ns.AuditPayload {
	case config.PayloadFull:
		m.Payload = pub.Data
	case config.PayloadHash:
		m.PayloadHash = audit.PayloadHash(pub.Data)
	case config.PayloadNone:
	}
	return m
}
