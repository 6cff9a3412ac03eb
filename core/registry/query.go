package registry

import (
	"slices"
	"unique"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// Sessions returns the first sessions of a process whose IDs follow after, sorted by ID and so by the time they were opened; at most
// limit. The list does not know channels: a filter by one finds nothing.
func (r *Registry) Sessions(uid string, f session.Filter, after core.ID, limit int) []session.Opening {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.members[uid]
	if m == nil || f.Channel != "" || f.Node != "" && f.Node != m.list.name {
		return nil
	}
	found := smallest{limit: max(limit, 1)}
	take := func(e *entry) {
		if e.id.Compare(after) > 0 && (f.Transport == "" || f.Transport == e.transport.Value()) {
			found.add(e)
		}
	}
	if f.User != "" {
		for e := r.users[unique.Make(f.User)]; e != nil; e = e.after {
			if e.owner == m {
				take(e)
			}
		}
	} else {
		for _, e := range m.list.sessions {
			take(e)
		}
	}
	entries := found.sorted()
	page := make([]session.Opening, len(entries))
	for i, e := range entries {
		page[i] = e.opening()
	}
	return page
}

// Counts returns how many sessions and how many users there are in all. known says that the lists of these processes have been read, and
// that no change since was lost.
func (r *Registry) Counts(uids []string) (sessions, users int, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		sessions += len(m.list.sessions)
	}
	return sessions, len(r.users), !slices.ContainsFunc(uids, func(uid string) bool {
		m := r.members[uid]
		return m == nil || m.list.reading
	})
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
