package session

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/presence"
)

func (s *Server) withPresence(name string) error {
	ns, bad := s.node.Namespaces.Resolve(name)
	if bad != nil {
		return bad
	}
	if !ns.Presence {
		return errNoPresence
	}
	return nil
}

func (s *Server) withHistory(name string) error {
	ns, bad := s.node.Namespaces.Resolve(name)
	if bad != nil {
		return bad
	}
	if ns.HistorySize <= 0 {
		return errNoHistory
	}
	return nil
}

// Presence returns who is in a channel, by client ID.
func (s *Server) Presence(ctx context.Context, name string) (map[string]core.ClientInfo, error) {
	if err := s.withPresence(name); err != nil {
		return nil, err
	}
	return s.node.Presence.Get(ctx, name)
}

// PresenceStats counts who is in a channel.
func (s *Server) PresenceStats(ctx context.Context, name string) (presence.Stats, error) {
	if err := s.withPresence(name); err != nil {
		return presence.Stats{}, err
	}
	return s.node.Presence.Stats(ctx, name)
}

// History returns a part of a channel's history, and the position.
func (s *Server) History(ctx context.Context, name string, q history.Query) ([]*core.Publication, core.Position, error) {
	if err := s.withHistory(name); err != nil {
		return nil, core.Position{}, err
	}
	return s.node.History.Read(ctx, name, q)
}

// RemoveHistory forgets a channel's publications.
func (s *Server) RemoveHistory(ctx context.Context, name string) error {
	if err := s.withHistory(name); err != nil {
		return err
	}
	return s.node.History.Remove(ctx, name)
}

// LocalPresence returns who is in a channel on this node, in no order.
func (s *Server) LocalPresence(name string) []core.ClientInfo { return s.node.Presence.Local(name) }

// LocalCount counts who is in a channel on this node.
func (s *Server) LocalCount(name string) presence.Count { return s.node.Presence.LocalCount(name) }

// Channels returns how many members each channel has whose whole name matches a pattern, in which * stands for any run of characters
// and ? for one; empty: all.
func (s *Server) Channels(_ context.Context, pattern string) (map[string]int, error) {
	match, err := glob(pattern)
	if err != nil {
		return nil, err
	}
	channels := make(map[string]int)
	for name, members := range s.node.Hub.Channels() {
		if match == nil || match(name) {
			channels[name] = members
		}
	}
	return channels, nil
}

// maxPattern bounds a pattern, in bytes. Channel names are not longer.
const maxPattern = 255

// glob makes a matcher of whole names; nil matches all.
func glob(pattern string) (func(string) bool, error) {
	if pattern == "" {
		return nil, nil
	}
	if len(pattern) > maxPattern {
		return nil, core.ErrBadRequest.Saying(fmt.Sprintf("a pattern has at most %d bytes", maxPattern))
	}
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	re, err := regexp.Compile(`(?s)\A` + quoted + `\z`)
	if err != nil {
		return nil, core.ErrBadRequest.Saying("the pattern cannot be used")
	}
	return re.MatchString, nil
}

// NodeInfo describes one node.
type NodeInfo struct {
	Name          string
	UID           string // Another one after each start.
	Version       string
	Uptime        time.Duration
	Sessions      int
	Users         int
	Channels      int
	Subscriptions int

	// Of nodes in a cluster, else empty.
	Kind        string  // "agent" or "worker".
	Agent       string  // Name of the agent that supervises it.
	State       string  // "starting", "ready" or "draining".
	MessagesIn  float64 // Commands of clients, per second.
	MessagesOut float64 // Publications queued for clients, per second.
	Memory      int64   // Resident bytes.
	Problem     string  // A sentence for the operator.
}

// Nodes describes the nodes.
func (s *Server) Nodes(context.Context) ([]NodeInfo, error) {
	info := NodeInfo{
		Name: s.node.Name, UID: fmt.Sprintf("%s-%d", s.node.Name, s.node.Epoch), Version: s.version,
		Uptime: time.Since(time.Unix(int64(s.node.Epoch), 0)),
	}
	info.Sessions, info.Users = s.node.Registry.Counts()
	info.Channels, info.Subscriptions = s.node.Hub.Counts()
	return []NodeInfo{info}, nil
}

// Counts returns how many sessions and how many users there are.
func (s *Server) Counts(context.Context) (sessions, users int, err error) {
	sessions, users = s.node.Registry.Counts()
	return sessions, users, nil
}

// Page is a part of a sorted list.
type Page struct {
	After string // What comes after this one; empty: from the beginning.
	Limit int    // Most entries.
}

// Cut sorts a list by its keys and returns the page of it.
func Cut[T any](list []T, key func(T) string, p Page) []T {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	from, found := slices.BinarySearchFunc(list, p.After, func(e T, after string) int { return strings.Compare(key(e), after) })
	if found {
		from++
	}
	return list[from:min(from+max(p.Limit, 0), len(list))]
}

// Traffic is what went to and from clients.
type Traffic struct {
	MessagesIn, MessagesOut uint64 // Commands, and frames.
	BytesIn, BytesOut       uint64
}

// UserInfo describes a user who is there.
type UserInfo struct {
	User          string
	Sessions      int
	Subscriptions int
	ConnectedAt   time.Time // Of the oldest session.
	LastSeen      time.Time // A frame came from the user.
	Traffic
}

// Users describes the users who are there, sorted by name. Anonymous sessions belong to nobody and are not in the list.
func (s *Server) Users(_ context.Context, p Page) ([]UserInfo, error) {
	byName := make(map[string]*UserInfo)
	for one := range s.connected() {
		info := one.describe()
		u := byName[info.User]
		if u == nil {
			u = &UserInfo{User: info.User, ConnectedAt: info.ConnectedAt}
			byName[info.User] = u
		}
		u.Sessions++
		u.Subscriptions += info.Channels
		if info.ConnectedAt.Before(u.ConnectedAt) {
			u.ConnectedAt = info.ConnectedAt
		}
		if info.LastSeen.After(u.LastSeen) {
			u.LastSeen = info.LastSeen
		}
		u.MessagesIn, u.MessagesOut = u.MessagesIn+info.MessagesIn, u.MessagesOut+info.MessagesOut
		u.BytesIn, u.BytesOut = u.BytesIn+info.BytesIn, u.BytesOut+info.BytesOut
	}
	delete(byName, "")
	users := make([]UserInfo, 0, len(byName))
	for _, u := range byName {
		users = append(users, *u)
	}
	return Cut(users, func(u UserInfo) string { return u.User }, p), nil
}

// connected goes over the sessions that have completed their connect command.
func (s *Server) connected() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for one := range s.node.Registry.All() {
			if one.connectedAt.Load() != 0 && !yield(one) {
				return
			}
		}
	}
}

// Online returns how many sessions each of the users has.
func (s *Server) Online(_ context.Context, users []string) (map[string]int, error) {
	sessions := make(map[string]int, len(users))
	for _, user := range users {
		sessions[user] = len(s.node.Registry.ofUser(user))
	}
	return sessions, nil
}

// Info describes a session.
type Info struct {
	ID          string
	User        string
	Node        string
	Transport   string
	Protocol    string
	RemoteAddr  string
	UserAgent   string
	Name        string // What the client calls itself.
	Version     string
	ConnectedAt time.Time
	LastSeen    time.Time // A frame came.
	ExpireAt    int64     // Unix seconds; 0: never.
	Channels    int
	Traffic

	// Of nodes in a cluster, else empty.
	Worker int    // Which of its agent's workers the node is, from 1; 0: it is none.
	Agent  string // Name of the agent that supervises the node.
	Silent bool   // The node does not answer. Only what does not change in the life of a session is filled in, as an agent's list has it.
}

// Filter says which sessions: those that match all fields that are not empty.
type Filter struct {
	User      string
	Channel   string // In which they are.
	Node      string // Name of the node that keeps them.
	Transport string
}

// Sessions describes sessions, the oldest first.
func (s *Server) Sessions(_ context.Context, f Filter, p Page) ([]Info, error) {
	if f.Channel != "" {
		if _, bad := s.node.Namespaces.Resolve(f.Channel); bad != nil {
			return nil, bad
		}
	}
	if f.Node != "" && f.Node != s.node.Name {
		return nil, nil
	}
	candidates := s.connected()
	if f.User != "" {
		candidates = slices.Values(s.node.Registry.ofUser(f.User))
	}
	var found []*Session
	for one := range candidates {
		if one.connectedAt.Load() != 0 && (f.Channel == "" || one.subscription(f.Channel) != nil) &&
			(f.Transport == "" || f.Transport == one.peer.Transport) {
			found = append(found, one)
		}
	}
	found = Cut(found, func(one *Session) string { return one.client.ID }, p)
	infos := make([]Info, len(found))
	for i, one := range found {
		infos[i] = one.describe()
	}
	return infos, nil
}

// describe may be called from anywhere once the session is connected.
func (s *Session) describe() Info {
	info := Info{
		ID: s.client.ID, User: s.client.User, Node: s.node.Name, Transport: s.peer.Transport, Protocol: s.format.String(),
		RemoteAddr: s.client.RemoteAddr, UserAgent: s.peer.UserAgent, Name: s.client.Name, Version: s.client.Version,
		ConnectedAt: time.Unix(0, s.connectedAt.Load()), LastSeen: time.Unix(0, s.lastSeen.Load()),
	}
	info.MessagesIn, info.BytesIn = s.messagesIn.Load(), s.bytesIn.Load()
	info.MessagesOut, info.BytesOut = s.queue.Sent()
	s.mu.Lock()
	defer s.mu.Unlock()
	info.ExpireAt, info.Channels = s.expireAt, len(s.subs)
	return info
}
