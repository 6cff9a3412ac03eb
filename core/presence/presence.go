// Package presence answers who is in a channel, on all nodes. Membership itself belongs to the hub; what is gathered here is a picture
// of one moment, never stored.
package presence

import (
	"context"

	"github.com/zenconn/server/core"
)

// Source knows the members on one node. Members may be called concurrently.
type Source interface {
	Members(channel string) []core.ClientInfo
}

// Gather asks all other nodes at once. Implemented by core/cluster. Both methods may be called concurrently and return when all have
// answered, at the latest when ctx ends: what did not come by then is missing, and counted there.
type Gather interface {
	Members(ctx context.Context, channel string) []core.ClientInfo
	Counts(ctx context.Context, channel string) []Count
}

// Presence answers from the members of this node, and of the others if there are any.
type Presence struct {
	local  Source
	others Gather // nil: this node is alone.
}

// New makes a Presence of a node that is alone.
func New(local Source) *Presence { return &Presence{local: local} }

// Join lets the other nodes be asked too. It must be called before any other method.
func (p *Presence) Join(others Gather) { p.others = others }

// Local returns the members of a channel on this node, in no order.
func (p *Presence) Local(channel string) []core.ClientInfo { return p.local.Members(channel) }

// LocalCount counts the members of a channel on this node, for another one that gathers.
func (p *Presence) LocalCount(channel string) Count { return count(p.local.Members(channel)) }

// Get returns the members of a channel by client ID.
func (p *Presence) Get(ctx context.Context, channel string) (map[string]core.ClientInfo, error) {
	var others []core.ClientInfo
	if p.others != nil {
		others = p.others.Members(ctx, channel)
	}
	members := p.local.Members(channel)
	byClient := make(map[string]core.ClientInfo, len(members)+len(others))
	for _, m := range members {
		byClient[m.Client] = m
	}
	for _, m := range others {
		byClient[m.Client] = m
	}
	return byClient, nil
}

// Stats counts the members of a channel.
func (p *Presence) Stats(ctx context.Context, channel string) (Stats, error) {
	if p.others == nil {
		members := p.local.Members(channel)
		users := make(map[string]struct{}, len(members))
		for _, m := range members {
			users[m.User] = struct{}{}
		}
		return Stats{Clients: len(members), Users: len(users)}, nil
	}
	others := p.others.Counts(ctx, channel)
	return sum(append(others, p.LocalCount(channel))), nil
}
