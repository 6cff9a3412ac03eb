package settle

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/stored"
)

// Life is one process, from its start to its end.
type Life struct {
	Node    string
	Started time.Time
}

// Scope says whose sessions are looked for.
type Scope struct {
	Agents  []string  // Nodes that are no workers of an agent,
	Workers []string  // and nodes that are: two of them, one of each, may have the same name.
	Before  time.Time // Only sessions that began before.
	Living  []Life    // Not the sessions of these.
}

// PageSize is how many sessions are read at once, at most.
const PageSize = 500

// pageTimeout bounds the reading of one page. ClickHouse looks through all sessions that the nodes ever had.
const pageTimeout = 5 * time.Minute

// Pages reads the sessions of the scope that are open in the store, in the order of their nodes and beginnings. It ends with the first error.
// The store may change meanwhile: each page is what it holds at that moment.
func Pages(ctx context.Context, store stored.Store, scope Scope) iter.Seq2[[]*audit.Session, error] {
	return func(yield func([]*audit.Session, error) bool) {
		var last *audit.Session
		for {
			page, err := readPage(ctx, store, scope, last)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 || !yield(page, nil) || len(page) < PageSize {
				return
			}
			last = page[len(page)-1]
		}
	}
}

func readPage(ctx context.Context, store stored.Store, scope Scope, after *audit.Session) (page []*audit.Session, err error) {
	if len(scope.Agents)+len(scope.Workers) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	for s, err := range stored.Sessions(ctx, store, scope.clauses(after)) {
		if err != nil {
			return nil, err
		}
		page = append(page, s)
	}
	return page, nil
}

// clauses is the question in SQL. Both stores have an index that begins with node and connected_at; that of SQLite holds open sessions only,
// which it recognizes by the words "version % 3 = 1".
func (s Scope) clauses(after *audit.Session) string {
	all := slices.Concat(s.Agents, s.Workers)
	slices.Sort(all)
	var q strings.Builder
	fmt.Fprintf(&q, "WHERE version %% 3 = 1 AND node IN (%s) AND connected_at < %s", texts(slices.Compact(all)), stored.Time(s.Before))
	var kinds []string
	if len(s.Agents) > 0 {
		kinds = append(kinds, "worker = 0 AND node IN ("+texts(s.Agents)+")")
	}
	if len(s.Workers) > 0 {
		kinds = append(kinds, "worker > 0 AND node IN ("+texts(s.Workers)+")")
	}
	fmt.Fprintf(&q, " AND (%s)", strings.Join(kinds, " OR "))
	for _, l := range s.Living {
		// An epoch is a second, in which a process may have died and another one have been started. No session is older than its process.
		fmt.Fprintf(&q, " AND NOT (node = %s AND node_epoch = %d AND connected_at >= %s)", stored.Text(l.Node), l.Started.Unix(),
			stored.Time(l.Started.Truncate(time.Millisecond)))
	}
	if after != nil {
		fmt.Fprintf(&q, " AND (node > %[1]s OR node = %[1]s AND (connected_at > %[2]s OR connected_at = %[2]s AND session > %[3]s))",
			stored.Text(after.Node), stored.Time(after.ConnectedAt), stored.ID(after.Session))
	}
	fmt.Fprintf(&q, " ORDER BY node, connected_at, session LIMIT %d", PageSize)
	return q.String()
}

func texts(all []string) string {
	literals := make([]string, len(all))
	for i, text := range all {
		literals[i] = stored.Text(text)
	}
	return strings.Join(literals, ", ")
}

// Ended returns the record that an open session was lost with its process, at the given time or, if it began later, when it began. The
// session's own word, should it still come, outweighs it.
func Ended(open *audit.Session, at time.Time, code uint16, reason string) *audit.Session {
	s := *open
	s.DisconnectedAt, s.CloseCode, s.CloseReason, s.Version = at, code, reason, open.Version+1
	if at.Before(open.ConnectedAt) {
		s.DisconnectedAt = open.ConnectedAt
	}
	return &s
}
