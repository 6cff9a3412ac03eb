// Package erase removes rows from the audit on purpose, so that the record stays verifiable: what goes is named by its digest, and an
// action in a chain of its own signs it off. See audit/chain. It has no goroutines.
package erase

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core"
)

// Store is an audit store from which rows can be removed.
type Store interface {
	audit.Writer
	stored.Store
	// Delete removes the rows of a table for which where, in SQL, is true. When it returns nil they are gone.
	Delete(ctx context.Context, table, where string) error
}

// By says who removes rows.
type By struct {
	Node  string // What the action calls the process, such as the host's name.
	Actor string
	Kind  string // As in audit.Action; empty: "cli".
}

// User removes all messages, sessions, decisions and drops of a user who wants to be forgotten, and returns how many that were, by table.
// What an operator did is not the user's: an action about the user is replaced by one that does not say whom it was about. What the user
// does afterwards, and what is still in the spool, is not removed. When it fails, some rows may be gone; it can be called again.
func User(ctx context.Context, store Store, user string, by By) (map[string]int, error) {
	if user == "" {
		return nil, errors.New("the user to forget has no name: everybody who is anonymous shares the empty one")
	}
	e := &erasure{id: core.NewID(), at: time.Now(), rows: map[string]int{}}
	of := "user = " + stored.Text(user)
	err := errors.Join(
		take(e, "audit_messages", stored.Messages(ctx, store, "WHERE "+of), func(m *audit.Message) (core.ID, audit.Event) { return m.ID, m }),
		take(e, "audit_sessions", stored.Sessions(ctx, store, "WHERE "+of), func(s *audit.Session) (core.ID, audit.Event) { return s.Session, s }),
		take(e, "audit_decisions", stored.Decisions(ctx, store, "WHERE "+of), func(d *audit.Decision) (core.ID, audit.Event) { return d.ID, d }),
		take(e, "audit_drops", stored.Drops(ctx, store, "WHERE "+of), func(d *audit.Drop) (core.ID, audit.Event) {
			if d.At.After(e.lastDrop) {
				e.lastDrop = d.At
			}
			return d.Session, d
		}),
		take(e, "audit_actions", stored.Actions(ctx, store, "WHERE "+actionsAbout(user)), func(a *audit.Action) (core.ID, audit.Event) {
			e.replace(a)
			return a.ID, a
		}),
	)
	if err != nil || len(e.all) == 0 {
		return e.rows, err
	}
	request := chain.Forgotten{Erasure: e.id, Digest: chain.Sum(e.all), Rows: e.rows}
	if err := sign(ctx, store, by, chain.ActionForget, request, e.all, e.actions...); err != nil {
		return nil, err
	}
	for _, table := range slices.Sorted(maps.Keys(e.rows)) {
		if err := store.Delete(ctx, table, e.where(table, of)); err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
	}
	return e.rows, nil
}

// erasure gathers what goes.
type erasure struct {
	id       core.ID
	at       time.Time
	all      []*audit.Erasure
	rows     map[string]int
	lastDrop time.Time
	actions  []*audit.Action // In the place of those that went.
}

// actionsAbout says in SQL which actions name the user: as their target, or somewhere in their request, which is JSON.
func actionsAbout(user string) string {
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(user); err != nil {
		panic("erase: " + err.Error()) // A string always has a JSON form.
	}
	return fmt.Sprintf("(target = %s OR replace(request, %s, '') <> request)", stored.Text(user), stored.Text(strings.TrimSpace(quoted.String())))
}

// replace keeps of an action who did what and when.
func (e *erasure) replace(a *audit.Action) {
	kept := *a
	kept.ID, kept.Target, kept.Request, kept.Error = core.NewID(), "", "", ""
	e.actions = append(e.actions, &kept)
}

func take[E any](e *erasure, table string, events iter.Seq2[*E, error], about func(*E) (core.ID, audit.Event)) error {
	for event, err := range events {
		if err != nil {
			return err
		}
		id, event := about(event)
		e.all = append(e.all, &audit.Erasure{At: e.at, ID: e.id, Kind: table, Event: id, Content: chain.Of(event).String()})
		e.rows[table]++
	}
	return nil
}

// where names exactly the rows that were gathered: others of the user may have come meanwhile.
func (e *erasure) where(table, of string) string {
	column := "id"
	switch table {
	case "audit_sessions":
		column = "session"
	case "audit_actions":
		of = "action <> ''"
	case "audit_drops":
		return of + " AND at <= " + stored.Time(e.lastDrop)
	}
	return fmt.Sprintf("%s AND %s IN (SELECT event FROM audit_erasures WHERE id = %s AND kind = '%s')", of, column, stored.ID(e.id), table)
}

// Before removes the rows of the tables that are earlier than a time; zero: none. The times are cut to milliseconds.
func Before(ctx context.Context, store Store, tables map[string]time.Time, by By) error {
	request := chain.Vacuumed{Before: map[string]time.Time{}}
	for table, before := range tables {
		if _, ok := timeColumns[table]; !ok {
			return fmt.Errorf("%q is no table of the audit that can be trimmed", table)
		}
		if !before.IsZero() {
			request.Before[table] = before.UTC().Truncate(time.Millisecond)
		}
	}
	if len(request.Before) == 0 {
		return nil
	}
	if err := sign(ctx, store, by, chain.ActionVacuum, request, nil); err != nil {
		return err
	}
	for _, table := range slices.Sorted(maps.Keys(request.Before)) {
		if err := store.Delete(ctx, table, timeColumns[table]+" < "+stored.Time(request.Before[table])); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

// timeColumns say by what time a table is trimmed.
var timeColumns = map[string]string{
	"audit_messages": "at", "audit_deliveries": "at", "audit_drops": "at", "audit_decisions": "at", "audit_actions": "at",
	"audit_sessions": "connected_at", "audit_chain": "at", "audit_erasures": "at",
}

// sign writes down what is about to go, in a chain of its own that has one link, and the actions that are kept in the place of others.
func sign(ctx context.Context, store Store, by By, action string, request any, erasures []*audit.Erasure, kept ...*audit.Action) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	now := time.Now()
	act := &audit.Action{
		At: now, ID: core.NewID(), Node: by.Node, Actor: by.Actor, ActorKind: cmp.Or(by.Kind, "cli"), Action: action, OK: true, Request: string(text),
	}
	life := fmt.Sprintf("%s/%d-%s", by.Node, now.Unix(), act.ID)
	c := chain.New(by.Node, life)
	acts := append(kept, act)
	for _, a := range acts {
		c.Action(a)
	}
	return store.Write(ctx, &audit.Batch{
		Token: life + "/1", Actions: acts, Links: []*audit.Link{c.Link(now)}, Erasures: erasures,
	})
}
