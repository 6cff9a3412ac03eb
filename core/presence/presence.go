// Package presence answers who is in a channel. Membership itself belongs to the hub; what is gathered here is a picture of one
// moment, never stored.
package presence

import (
	"context"

	"github.com/zenconn/server/core"
)

// Source knows the members on one node. Members may be called concurrently.
type Source interface {
	Members(channel string) []core.ClientInfo
}

// Presence answers from the members of this node.
type Presence struct{ local Source }

// New makes a Presence.
func New(local Source) *Presence { return &Presence{local: local} }

// Get returns the members of a channel by client ID.
func (p *Presence) Get(_ context.Context, channel string) (map[string]core.ClientInfo, error) {
	members := p.local.Members(channel)
	byClient := make(map[string]core.ClientInfo, len(members))
	for _, m := range members {
		byClient[m.Client] = m
	}
	return byClient, nil
}

// Stats are the numbers of a channel's presence.
type Stats struct {
	Clients int
	Users   int // Distinct users; all anonymous clients together count as one, as in the public protocol.
}

// Stats counts the members of a channel.
func (p *Presence) Stats(_ context.Context, channel string) (Stats, error) {
	members := p.local.Members(channel)
	users := make(map[string]struct{}, len(members))
	for _, m := range members {
		users[m.User] = struct{}{}
	}
	return Stats{Clients: len(members), Users: len(users)}, nil
}
