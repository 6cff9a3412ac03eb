package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/session"
)

// Presence returns who is in a channel, by client ID.
func (c *Calls) Presence(ctx context.Context, channel string) (map[string]core.ClientInfo, error) {
	return c.local.Presence(ctx, channel)
}

// PresenceStats counts who is in a channel.
func (c *Calls) PresenceStats(ctx context.Context, channel string) (presence.Stats, error) {
	return c.local.PresenceStats(ctx, channel)
}

// Gather returns what a presence.Presence of this process needs to show all nodes.
func (c *Calls) Gather() presence.Gather { return gather{c} }

// gather implements presence.Gather.
type gather struct{ calls *Calls }

func (g gather) Members(ctx context.Context, channel string) (all []core.ClientInfo) {
	_, err := look(ctx, g.calls, g.calls.members.usable(), lookPresence, channel, func(members []core.ClientInfo) error {
		all = append(all, members...)
		return nil
	})
	g.calls.refused(lookPresence.name, err)
	return all
}

func (g gather) Counts(ctx context.Context, channel string) (all []presence.Count) {
	_, err := look(ctx, g.calls, g.calls.members.usable(), lookCounts, channel, func(wire counted) error {
		count, err := wire.count()
		all = append(all, count)
		return err
	})
	g.calls.refused(lookCounts.name, err)
	return all
}

// refused counts and tells that a member refused what nobody refuses.
func (c *Calls) refused(call string, err error) {
	if err != nil {
		c.metrics.ClusterUnanswered.WithLabelValues(call).Inc()
		c.log.Warn("a process refused a question", "call", call, "error", err)
	}
}

// Channels returns how many members each channel has, on all nodes together. The pattern is that of session.Server.
func (c *Calls) Channels(ctx context.Context, pattern string) (map[string]int, error) {
	all, err := c.local.Channels(ctx, pattern)
	if err != nil {
		return nil, err
	}
	_, err = look(ctx, c, c.members.usable(), lookChannels, pattern, func(channels map[string]int) error {
		for name, n := range channels {
			all[name] += n
		}
		return nil
	})
	return all, err
}

// Nodes describes all members: this process as it is, the others by their last hello.
func (c *Calls) Nodes(ctx context.Context) ([]session.NodeInfo, error) {
	mine, err := c.local.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	list := c.members.List()
	names := make(map[string]string, len(list))
	for _, m := range list {
		names[m.UID] = m.Name
	}
	infos := make([]session.NodeInfo, len(list))
	for i, m := range list {
		infos[i] = session.NodeInfo{Sessions: m.Sessions, Users: m.Users, Channels: m.Channels, Subscriptions: m.Subscriptions}
		if m.Self {
			infos[i] = mine[0]
		}
		n := &infos[i]
		n.Name, n.UID, n.Version, n.Uptime = m.Name, m.UID, m.Version, max(time.Since(m.Started)+m.Skew, 0)
		n.Kind, n.Agent, n.State, n.Problem = string(m.Kind), names[m.Agent], string(m.State), m.Problem
		n.MessagesIn, n.MessagesOut, n.Memory = m.MessagesIn, m.MessagesOut, m.Memory
	}
	return infos, nil
}

// Users describes the users who are there, sorted by name.
func (c *Calls) Users(ctx context.Context, p session.Page) ([]session.UserInfo, error) {
	mine, err := c.local.Users(ctx, p)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]session.UserInfo, len(mine))
	add := func(users []session.UserInfo) error {
		for _, u := range users {
			byName[u.User] = merge(byName[u.User], u)
		}
		return nil
	}
	if err := add(mine); err != nil {
		return nil, err
	}
	// Each member sends its first users after the page's beginning. Who is not among them has as many before him and is not in the page.
	if _, err := look(ctx, c, c.members.usable(), lookUsers, p, add); err != nil {
		return nil, err
	}
	all := make([]session.UserInfo, 0, len(byName))
	for _, u := range byName {
		all = append(all, u)
	}
	return session.Cut(all, func(u session.UserInfo) string { return u.User }, p), nil
}

// merge adds up what two nodes know about a user; a may be empty.
func merge(a, b session.UserInfo) session.UserInfo {
	if a.Sessions == 0 {
		return b
	}
	a.Sessions, a.Subscriptions = a.Sessions+b.Sessions, a.Subscriptions+b.Subscriptions
	if b.ConnectedAt.Before(a.ConnectedAt) {
		a.ConnectedAt = b.ConnectedAt
	}
	if b.LastSeen.After(a.LastSeen) {
		a.LastSeen = b.LastSeen
	}
	a.MessagesIn, a.MessagesOut = a.MessagesIn+b.MessagesIn, a.MessagesOut+b.MessagesOut
	a.BytesIn, a.BytesOut = a.BytesIn+b.BytesIn, a.BytesOut+b.BytesOut
	return a
}

// Online returns how many sessions each of the users has. When a member does not answer and one of the users would be offline for all
// anybody knows, that is an error: who is told so may act upon it.
func (c *Calls) Online(ctx context.Context, users []string) (map[string]int, error) {
	all, err := c.local.Online(ctx, users)
	if err != nil {
		return nil, err
	}
	missing, err := look(ctx, c, c.members.usable(), lookOnline, users, func(online map[string]int) error {
		for user, n := range online {
			all[user] += n
		}
		return nil
	})
	if err == nil && len(missing) > 0 && slices.ContainsFunc(users, func(user string) bool { return all[user] == 0 }) {
		names := make([]string, len(missing))
		for i, m := range missing {
			names[i] = m.Name
		}
		err = notAnswered(names, nil)
	}
	return all, err
}

// Counts returns how many sessions and how many users there are: an agent counts its list, others add up what the members count, so that
// who is on several counts several times.
func (c *Calls) Counts(ctx context.Context) (sessions, users int, err error) {
	if sessions, users, known := c.counted(); known {
		return sessions, users, nil
	}
	nodes, err := c.Nodes(ctx)
	for _, n := range nodes {
		sessions, users = sessions+n.Sessions, users+n.Users
	}
	return sessions, users, err
}

// Sessions describes sessions, the oldest first. Only the nodes of the filter's name are asked, if it has one. For those that do not
// answer, an agent tells what its list has of them.
func (c *Calls) Sessions(ctx context.Context, f session.Filter, p session.Page) ([]session.Info, error) {
	all, err := c.local.Sessions(ctx, f, p)
	if err != nil {
		return nil, err
	}
	peers := c.members.usable()
	if f.Node != "" {
		peers = slices.DeleteFunc(peers, func(one contact) bool { return one.Name != f.Node })
	}
	missing, err := look(ctx, c, peers, lookSessions, listing[session.Filter]{f, p}, func(infos []session.Info) error {
		all = append(all, infos...)
		return nil
	})
	all = append(all, c.listed(missing, f, p)...)
	page := session.Cut(all, func(i session.Info) string { return i.ID }, p)
	c.place(page)
	return page, err
}

// Elsewhere returns what a session.Node of this process needs to hold limits of users on all nodes together.
func (c *Calls) Elsewhere() session.Elsewhere { return elsewhere{c} }

// elsewhere implements session.Elsewhere.
type elsewhere struct{ calls *Calls }

func (e elsewhere) SessionsOf(ctx context.Context, user string) (sessions int) {
	_, err := look(ctx, e.calls, e.calls.members.usable(), lookOnline, []string{user}, func(online map[string]int) error {
		sessions += online[user]
		return nil
	})
	e.calls.refused("sessions_per_user", err)
	return sessions
}
