package api

import (
	"context"
	"fmt"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

type infoRequest struct{}

type infoResult struct {
	Nodes []node `json:"nodes"`
}

type node struct {
	UID         string `json:"uid"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	NumClients  int    `json:"num_clients"`
	NumUsers    int    `json:"num_users"`
	NumSubs     int    `json:"num_subs"`
	NumChannels int    `json:"num_channels"`
	Uptime      int    `json:"uptime"` // Seconds.

	// Of nodes in a cluster.
	Kind        string   `json:"kind,omitempty"`
	Agent       string   `json:"agent,omitempty"` // Name of the one that supervises it.
	State       string   `json:"state,omitempty"`
	MessagesIn  float64  `json:"messages_in,omitempty"`  // Per second.
	MessagesOut float64  `json:"messages_out,omitempty"` // Per second.
	Process     *process `json:"process,omitempty"`
	Problem     string   `json:"problem,omitempty"`
}

type process struct {
	RSS int64 `json:"rss"` // Bytes.
}

func (r *infoRequest) about() (string, any) { return "", nil }

func (r *infoRequest) run(ctx context.Context, c *Commands) (any, error) {
	infos, err := c.cluster.Nodes(ctx)
	result := infoResult{Nodes: make([]node, len(infos))}
	for i, n := range infos {
		result.Nodes[i] = node{
			UID: n.UID, Name: n.Name, Version: n.Version, NumClients: n.Sessions, NumUsers: n.Users, NumSubs: n.Subscriptions,
			NumChannels: n.Channels, Uptime: int(n.Uptime / time.Second), Kind: n.Kind, Agent: n.Agent, State: n.State,
			MessagesIn: n.MessagesIn, MessagesOut: n.MessagesOut, Problem: n.Problem,
		}
		if n.Memory > 0 {
			result.Nodes[i].Process = &process{RSS: n.Memory}
		}
	}
	return result, err
}

// page asks for a part of a list.
type page struct {
	Limit int    `json:"limit,omitempty"`
	After string `json:"after,omitempty"`
}

const (
	defaultPage = 1000
	maxPage     = 10_000
)

func (p page) page() (session.Page, error) {
	switch {
	case p.Limit < 0 || p.Limit > maxPage:
		return session.Page{}, core.ErrBadRequest.Saying(fmt.Sprintf("limit lies between 1 and %d", maxPage))
	case p.Limit == 0:
		p.Limit = defaultPage
	}
	return session.Page{After: p.After, Limit: p.Limit}, nil
}

// next is what to ask for after a list; empty when it was the last.
func next[T any](list []T, p session.Page, key func(T) string) string {
	if len(list) < p.Limit {
		return ""
	}
	return key(list[len(list)-1])
}

// traffic is what went to and from clients.
type traffic struct {
	MessagesIn  uint64 `json:"messages_in"`
	MessagesOut uint64 `json:"messages_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
}

// moment is a time as answers show it.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

type usersRequest struct {
	page
}

type usersResult struct {
	Users       []user `json:"users"`
	Next        string `json:"next,omitempty"` // For after.
	NumUsers    int    `json:"num_users"`      // In all.
	NumSessions int    `json:"num_sessions"`   // In all, with anonymous ones.
}

type user struct {
	User          string    `json:"user"`
	Sessions      int       `json:"sessions"`
	Subscriptions int       `json:"subscriptions"`
	ConnectedAt   time.Time `json:"connected_at"`
	LastSeen      time.Time `json:"last_seen"`
	traffic
}

func (r *usersRequest) about() (string, any) { return "", r }

func (r *usersRequest) run(ctx context.Context, c *Commands) (any, error) {
	p, err := r.page.page()
	if err != nil {
		return nil, err
	}
	list, err := c.cluster.Users(ctx, p)
	if err != nil {
		return nil, err
	}
	result := usersResult{Users: make([]user, len(list)), Next: next(list, p, func(u session.UserInfo) string { return u.User })}
	for i, u := range list {
		result.Users[i] = user{
			User: u.User, Sessions: u.Sessions, Subscriptions: u.Subscriptions, ConnectedAt: moment(u.ConnectedAt),
			LastSeen: moment(u.LastSeen), traffic: traffic(u.Traffic),
		}
	}
	result.NumSessions, result.NumUsers, err = c.cluster.Counts(ctx)
	return result, err
}

type userStatusRequest struct {
	User  string   `json:"user,omitempty"`
	Users []string `json:"users,omitempty"`
}

type userStatusResult struct {
	Statuses []userStatus `json:"statuses"` // In the order of the request.
}

type userStatus struct {
	User     string `json:"user"`
	Online   bool   `json:"online"`
	Sessions int    `json:"sessions"`
}

func (r *userStatusRequest) about() (string, any) { return r.User, r }

func (r *userStatusRequest) run(ctx context.Context, c *Commands) (any, error) {
	asked := r.Users
	if r.User != "" {
		asked = append([]string{r.User}, asked...)
	}
	switch {
	case len(asked) == 0:
		return nil, core.ErrBadRequest.Saying("say about whom: user, or users")
	case len(asked) > maxPage:
		return nil, core.ErrLimitExceeded.Saying(fmt.Sprintf("one request is about at most %d users", maxPage))
	}
	sessions, err := c.cluster.Online(ctx, asked)
	result := userStatusResult{Statuses: make([]userStatus, len(asked))}
	for i, user := range asked {
		result.Statuses[i] = userStatus{User: user, Online: sessions[user] > 0, Sessions: sessions[user]}
	}
	return result, err
}

type sessionsRequest struct {
	page
	User      string `json:"user,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Node      string `json:"node,omitempty"`
	Transport string `json:"transport,omitempty"`
}

type sessionsResult struct {
	Sessions []sessionInfo `json:"sessions"` // The oldest first.
	Next     string        `json:"next,omitempty"`
}

type sessionInfo struct {
	ID          string    `json:"id"`
	User        string    `json:"user"`
	Node        string    `json:"node"`
	Transport   string    `json:"transport"`
	Protocol    string    `json:"protocol"`
	RemoteAddr  string    `json:"remote_addr"`
	UserAgent   string    `json:"user_agent,omitempty"`
	Name        string    `json:"name,omitempty"`
	Version     string    `json:"version,omitempty"`
	ConnectedAt time.Time `json:"connected_at"`
	LastSeen    time.Time `json:"last_seen"`
	ExpireAt    int64     `json:"expire_at,omitempty"`
	Channels    int       `json:"channels"`
	Worker      int       `json:"worker"` // Which of the agent's workers the node is, from 1; 0: it is none.
	Agent       string    `json:"agent"`  // Name of the one that supervises the node; empty: none does.
	Silent      bool      `json:"silent,omitempty"`
	traffic
}

func (r *sessionsRequest) about() (string, any) {
	if r.User != "" {
		return r.User, r
	}
	return r.Channel, r
}

func (r *sessionsRequest) run(ctx context.Context, c *Commands) (any, error) {
	p, err := r.page.page()
	if err != nil {
		return nil, err
	}
	filter := session.Filter{User: r.User, Channel: r.Channel, Node: r.Node, Transport: r.Transport}
	list, err := c.cluster.Sessions(ctx, filter, p)
	result := sessionsResult{Sessions: make([]sessionInfo, len(list)), Next: next(list, p, func(i session.Info) string { return i.ID })}
	for i, s := range list {
		result.Sessions[i] = sessionInfo{
			ID: s.ID, User: s.User, Node: s.Node, Transport: s.Transport, Protocol: s.Protocol, RemoteAddr: s.RemoteAddr,
			UserAgent: s.UserAgent, Name: s.Name, Version: s.Version, ConnectedAt: moment(s.ConnectedAt), LastSeen: moment(s.LastSeen),
			ExpireAt: s.ExpireAt, Channels: s.Channels, Worker: s.Worker, Agent: s.Agent, Silent: s.Silent, traffic: traffic(s.Traffic),
		}
	}
	return result, err
}
