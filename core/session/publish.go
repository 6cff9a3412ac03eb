package session

import (
	"context"
	"errors"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
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
	pub := &core.Publication{ID: core.NewID(), Channel: req.Channel, Data: req.Data}
	out := &outgoing{Publication: pub, ns: ns, keep: true, excludeSender: ns.ExcludeSender}
	verdict, err := s.mayPublish(out)
	if err != nil {
		return err
	}
	deliveries := 0
	if verdict != audit.MessageDrop {
		if deliveries, err = s.hand(out); err != nil {
			return err
		}
	}
	s.recordMessage(out.ns, pub, verdict, deliveries)
	s.reply(&protocol.Reply{Id: cmd.Id, Publish: &protocol.PublishResult{}})
	return nil
}

// errPluginData is a fault of the owner's plugin; the client only learns that something went wrong.
var errPluginData = errors.New("a plugin turned the data of a publication into something that is not JSON")

// mayPublish decides about a publication, by the namespace's rule or a grant, and by the plugins, which may also change it. Their
// word outweighs the rule. A channel for nobody stays closed whoever asks.
func (s *Session) mayPublish(ns *channel.Namespace, pub *core.Publication) (audit.MessageVerdict, error) {
	allowed := s.permitted(ns.Publish, core.MayPublish, pub.Channel)
	verdict := audit.MessageAllow
	if ns.Publish != channel.Nobody && s.node.Hooks.Has(hooks.OnPublish) {
		event := &hooks.Publish{Client: s.client, Channel: pub.Channel, Message: pub.ID, Data: pub.Data}
		answer := s.node.Hooks.Publish(context.Background(), event)
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
			if !ns.Binary && !protocol.ValidJSON(event.Data) {
				return "", errPluginData
			}
			pub.Data, pub.Tags, verdict = event.Data, event.Tags, audit.MessageModify
		}
	}
	if !allowed {
		s.node.decided(s, hooks.OnPublish, pub.Channel, "the namespace's rule does not let this client publish")
		return "", core.ErrPermissionDenied
	}
	return verdict, nil
}

// hand gives an allowed publication to the hub.
func (s *Session) hand(ns *channel.Namespace, pub *core.Publication) (deliveries int, err error) {
	var chanInfo []byte
	if sub := s.subscription(pub.Channel); sub != nil {
		chanInfo = sub.member.Info().ChanInfo
	}
	info := s.clientInfo(chanInfo)
	pub.Info, pub.Time = &info, time.Now().UnixMilli()
	except := core.ID{}
	if ns.ExcludeSender {
		except = s.id
	}
	ctx, cancel := context.Background(), func() {}
	if ns.HistorySize > 0 {
		ctx, cancel = context.WithTimeout(ctx, storeTimeout)
	}
	defer cancel()
	out, err := s.node.Hub.Publish(ctx, ns, pub, except)
	if err != nil {
		return 0, err
	}
	s.node.Metrics.Publications.WithLabelValues(ns.Name).Inc()
	s.node.Metrics.Deliveries.WithLabelValues(ns.Name).Add(float64(out.Deliveries))
	return out.Deliveries, nil
}

func (s *Session) recordMessage(ns *channel.Namespace, pub *core.Publication, verdict audit.MessageVerdict, deliveries int) {
	m := s.node.message(ns, pub, verdict, deliveries)
	m.User, m.Session, m.ClientID = s.client.User, s.id, s.client.Name
	s.node.Recorder.Record(m)
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
	if ns.AuditPayload {
		m.Payload = pub.Data
	}
	return m
}
