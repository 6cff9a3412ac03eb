package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Keep says how long the tables keep their rows; zero: for ever.
type Keep struct {
	Messages, Decisions, Sessions, Actions, Counts time.Duration
}

// longest is how long what vouches for the others is kept.
func (k Keep) longest() time.Duration {
	if min(k.Messages, k.Decisions, k.Sessions, k.Actions) == 0 {
		return 0
	}
	return max(k.Messages, k.Decisions, k.Sessions, k.Actions)
}

// retention is how long a table keeps its rows, by which column.
type retention struct {
	table, by string
	keep      time.Duration
}

func (k Keep) tables() []retention {
	return []retention{
		{"audit_messages", "toDateTime(at)", k.Messages}, {"audit_deliveries", "toDateTime(at)", k.Messages},
		{"audit_drops", "toDateTime(at)", k.Messages}, {"audit_decisions", "toDateTime(at)", k.Decisions},
		{"audit_sessions", "toDateTime(connected_at)", k.Sessions}, {"audit_actions", "toDateTime(at)", k.Actions},
		{"audit_chain", "toDateTime(at)", k.longest()}, {"audit_erasures", "toDateTime(at)", k.longest()},
		{"audit_messages_1m", "minute", k.Counts}, {"audit_decisions_1m", "minute", k.Counts},
	}
}

// retain makes the tables keep their rows as long as they shall. It changes nothing that is right.
func (s *Store) retain(ctx context.Context) error {
	for _, r := range s.keep.tables() {
		now, err := s.kept(ctx, r.table)
		if err != nil {
			return err
		}
		if now == r.keep {
			continue
		}
		change := fmt.Sprintf("MODIFY TTL %s + INTERVAL %d SECOND DELETE", r.by, int64(r.keep/time.Second))
		if r.keep == 0 {
			change = "REMOVE TTL"
		}
		if err := s.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s%s %s", r.table, on(s.cluster), change)); err != nil {
			if now, again := s.kept(ctx, r.table); again == nil && now == r.keep { // Another agent has just done it.
				continue
			}
			return fmt.Errorf("the time for which %s keeps its rows (audit.keep) cannot be changed: %w", r.table, err)
		}
	}
	return nil
}

func (s *Store) kept(ctx context.Context, table string) (time.Duration, error) {
	var full string
	err := s.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&full)
	return kept(full), err
}

var interval = regexp.MustCompile(`toInterval(Second|Minute|Hour|Day|Week|Month|Year)\((\d+)\)`)

// kept reads from a table's definition how long it keeps its rows: zero for ever, and -1 when that cannot be read.
func kept(definition string) time.Duration {
	_, ttl, found := strings.Cut(definition, " TTL ")
	if !found {
		return 0
	}
	m := interval.FindStringSubmatch(ttl)
	if m == nil {
		return -1
	}
	n, err := strconv.ParseInt(m[2], 10, 32)
	if err != nil {
		return -1
	}
	const day = 24 * time.Hour
	unit := map[string]time.Duration{"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour, "Day": day, "Week": 7 * day, "Month": 30 * day, "Year": 365 * day}
	return time.Duration(n) * unit[m[1]]
}
