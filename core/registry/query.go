package registry

import (
	"maps"
	"slices"
	"strings"
	"unique"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// Entry is one session in the list.
type Entry struct {
	session.Opening
	Node   string // Name.
	UID    string // Of its process.
	Worker uint16 // Number of the process among the workers of its agent; 0: it is none.
	Agent  string // UID of the agent that supervises the process; empty: none does.
}

// Query says which sessions are wanted: those that match all fields that are not empty.
type Query struct {
	User      string
	Node      string // Name or UID.
	Transport string
	After     core.ID // Those whose IDs follow it.
	Limit     int     // Most entries, at most MaxLimit.
}

// MaxLimit is the largest page.
const MaxLimit = 1000

// Find returns the session of an ID.
func (r *Registry) Find(id core.ID) (Entry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		if e := m.list.sessions[id]; e != nil {
			return e.entry(), true
		}
	}
	return Entry{}, false
}

// Sessions returns a page of sessions, sorted by ID and so by the time they were opened. more says that others follow.
func (r *Registry) Sessions(q Query) (page []Entry, more bool) {
	limit := min(max(q.Limit, 1), MaxLimit)
	found := smallest{limit: limit + 1}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if q.User != "" {
		for e := r.users[unique.Make(q.User)]; e != nil; e = e.after {
			if q.matches(e) {
				found.add(e)
			}
		}
	} else {
		for _, m := range r.members {
			if q.Node != "" && q.Node != m.uid && q.Node != m.list.name {
				continue
			}
			for _, e := range m.list.sessions {
				if q.matches(e) {
					found.add(e)
				}
			}
		}
	}
	entries := found.sorted()
	if more = len(entries) > limit; more {
		entries = entries[:limit]
	}
	page = make([]Entry, len(entries))
	for i, e := range entries {
		page[i] = e.entry()
	}
	return page, more
}

func (q *Query) matches(e *entry) bool {
	return e.id.Compare(q.After) > 0 && (q.Transport == "" || q.Transport == e.transport.Value()) &&
		(q.Node == "" || q.Node == e.owner.uid || q.Node == e.owner.list.name)
}

func (e *entry) entry() Entry {
	o := e.owner
	return Entry{Opening: e.opening(), Node: o.list.name, UID: o.uid, Worker: o.list.worker, Agent: o.agent}
}

// smallest keeps the entries with the smallest IDs of those it is given.
type smallest struct {
	limit   int
	entries []*entry
	last    core.ID // The largest that can still be among them; zero: any.
}

func (s *smallest) add(e *entry) {
	if !s.last.IsZero() && e.id.Compare(s.last) > 0 {
		return
	}
	if s.entries = append(s.entries, e); len(s.entries) >= 2*s.limit {
		s.sorted()
	}
}

func (s *smallest) sorted() []*entry {
	slices.SortFunc(s.entries, func(a, b *entry) int { return a.id.Compare(b.id) })
	if len(s.entries) >= s.limit {
		s.entries = s.entries[:s.limit]
		s.last = s.entries[s.limit-1].id
	}
	return s.entries
}

// NodeCount is how many sessions a process has.
type NodeCount struct {
	UID, Node string
	Worker    uint16
	Agent     string
	Sessions  int
	Current   bool // Its list has been read, and no change since was lost.
}

// Nodes counts the sessions of every process, sorted by the names of the nodes. One of which nothing was heard yet has no name.
func (r *Registry) Nodes() []NodeCount {
	r.mu.RLock()
	defer r.mu.RUnlock()
	counts := make([]NodeCount, 0, len(r.members))
	for _, m := range r.members {
		counts = append(counts, NodeCount{
			UID: m.uid, Node: m.list.name, Worker: m.list.worker, Agent: m.agent, Sessions: len(m.list.sessions), Current: !m.list.reading,
		})
	}
	slices.SortFunc(counts, func(a, b NodeCount) int { return strings.Compare(a.Node+"\x00"+a.UID, b.Node+"\x00"+b.UID) })
	return counts
}

// Counts returns how many sessions and how many users there are.
func (r *Registry) Counts() (sessions, users int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for m := range maps.Values(r.members) {
		sessions += len(m.list.sessions)
	}
	return sessions, len(r.users)
}

// Collectors show the registry to Prometheus.
func (r *Registry) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		&nodeCollector{registry: r, sessions: prometheus.NewDesc(
			"zenconn_registry_sessions", "Sessions in this agent's list of all, by node.", []string{"node"}, nil)},
		counter("registry_resyncs_total", "Times a node's list was read again because changes were lost.", r.resyncs.Load),
	}
}

// Collectors show the sender to Prometheus.
func (s *Sender) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		counter("registry_batches_total", "Announcements of sessions that were sent to the agents.", s.batches.Load),
		counter("registry_dropped_total", "Sessions' beginnings and ends that were not announced; the agents ask for the list instead.", s.dropped.Load),
		counter("registry_notices_total", "Publications in $system:sessions.", s.notices.told.Load),
	}
}

func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "zenconn", Name: name, Help: help},
		func() float64 { return float64(value()) })
}

type nodeCollector struct {
	registry *Registry
	sessions *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *nodeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.sessions }

// Collect implements prometheus.Collector. Processes of one name, such as a worker and the one that replaces it, are counted together.
func (c *nodeCollector) Collect(ch chan<- prometheus.Metric) {
	byName := make(map[string]int)
	for _, n := range c.registry.Nodes() {
		if n.Node != "" {
			byName[n.Node] += n.Sessions
		}
	}
	for name, n := range byName {
		ch <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(n), name)
	}
}
