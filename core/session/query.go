package session

import (
	"context"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/protocol"
)

var (
	errNoPresence = core.ErrNotAvailable.Saying("the namespace keeps no presence")
	errNoHistory  = core.ErrNotAvailable.Saying("the namespace keeps no history")
)

// mayAsk decides about a question to a channel: whoever is subscribed may ask, and whoever has the grant.
func (s *Session) mayAsk(name string, p core.Permission) (*channel.Namespace, error) {
	ns, bad := s.node.Namespaces.Resolve(name)
	if bad != nil {
		return nil, bad
	}
	if p == core.MayPresence && !ns.Presence {
		return nil, errNoPresence
	}
	if p == core.MayHistory && ns.HistorySize <= 0 {
		return nil, errNoHistory
	}
	if s.subscription(name) == nil && !s.grants.Allow(p, name) {
		return nil, core.ErrPermissionDenied
	}
	return ns, nil
}

func (s *Session) presence(cmd *protocol.Command) error {
	if _, err := s.mayAsk(cmd.Presence.Channel, core.MayPresence); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.node.patience())
	defer cancel()
	members, err := s.node.Presence.Get(ctx, cmd.Presence.Channel)
	if err != nil {
		return err
	}
	result := &protocol.PresenceResult{Presence: make(map[string]*protocol.ClientInfo, len(members))}
	for client, info := range members {
		result.Presence[client] = protocol.FromClientInfo(&info)
	}
	s.reply(&protocol.Reply{Id: cmd.Id, Presence: result})
	return nil
}

func (s *Session) presenceStats(cmd *protocol.Command) error {
	if _, err := s.mayAsk(cmd.PresenceStats.Channel, core.MayPresence); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.node.patience())
	defer cancel()
	stats, err := s.node.Presence.Stats(ctx, cmd.PresenceStats.Channel)
	if err != nil {
		return err
	}
	s.reply(&protocol.Reply{Id: cmd.Id, PresenceStats: &protocol.PresenceStatsResult{
		NumClients: uint32(stats.Clients), NumUsers: uint32(stats.Users),
	}})
	return nil
}

func (s *Session) history(cmd *protocol.Command) error {
	req := cmd.History
	if _, err := s.mayAsk(req.Channel, core.MayHistory); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.node.patience())
	defer cancel()
	query := history.Query{Limit: int(req.Limit), Reverse: req.Reverse}
	if req.Since != nil {
		query.Since = &core.Position{Offset: req.Since.Offset, Epoch: req.Since.Epoch}
	}
	pubs, at, err := s.node.History.Read(ctx, req.Channel, query)
	if err != nil {
		return err
	}
	result := &protocol.HistoryResult{Offset: at.Offset, Epoch: at.Epoch}
	for _, pub := range pubs {
		result.Publications = append(result.Publications, protocol.FromPublication(pub))
	}
	s.reply(&protocol.Reply{Id: cmd.Id, History: result})
	return nil
}
