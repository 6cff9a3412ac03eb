package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// sessionReplaces lets a session's later version replace the earlier one, in whatever order they come.
const sessionReplaces = ` ON CONFLICT (session) DO UPDATE SET connected_at = excluded.connected_at, disconnected_at = excluded.disconnected_at,
	node = excluded.node, node_epoch = excluded.node_epoch, worker = excluded.worker, user = excluded.user, transport = excluded.transport,
	protocol = excluded.protocol, remote_addr = excluded.remote_addr, user_agent = excluded.user_agent, msgs_in = excluded.msgs_in,
	msgs_out = excluded.msgs_out, bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out, close_code = excluded.close_code,
	close_reason = excluded.close_reason, version = excluded.version WHERE excluded.version >= version`

// deliveriesAdd adds the deliveries of a message on a node to those that are there.
const deliveriesAdd = ` ON CONFLICT (message, node) DO UPDATE SET deliveries = deliveries + excluded.deliveries, drops = drops + excluded.drops`

// batchesKnown is how many of the last batches are recognized when they come again.
const batchesKnown = 10_000

// statements insert one row each: within a transaction, several rows per statement were a quarter slower.
type statements struct{ messages, sessions, decisions, actions, deliveries, drops, links, erasures, token, forget *sql.Stmt }

func prepareStatements(db *sql.DB) (s statements, err error) {
	prepare := func(into **sql.Stmt, text string) {
		if err == nil {
			*into, err = db.PrepareContext(context.Background(), text) //nolint:sqlclosecheck // They live as long as db, which closes them.
		}
	}
	prepare(&s.messages, insert("audit_messages", "at", "id", "node", "namespace", "channel", "user", "session", "client_id", `"offset"`,
		"size", "deliveries", "verdict", "content_type", "payload", "payload_hash", "tags", "decisions"))
	prepare(&s.sessions, insert("audit_sessions", "connected_at", "disconnected_at", "session", "node", "node_epoch", "worker", "user",
		"transport", "protocol", "remote_addr", "user_agent", "msgs_in", "msgs_out", "bytes_in", "bytes_out", "close_code", "close_reason",
		"version")+sessionReplaces)
	prepare(&s.decisions, insert("audit_decisions", "at", "id", "node", "hook", "plugin", "plugin_hash", "verdict", "reason", "user",
		"session", "channel", "message", "remote_addr", "latency_us"))
	prepare(&s.actions, insert("audit_actions", "at", "id", "node", "actor", "actor_kind", "action", "target", "ok", "error",
		"remote_addr", "request", "latency_us"))
	prepare(&s.deliveries, insert("audit_deliveries", "at", "message", "node", "namespace", "channel", "deliveries", "drops")+deliveriesAdd)
	prepare(&s.drops, insert("audit_drops", "at", "node", "session", "user", "reason", "messages"))
	prepare(&s.links, insert("audit_chain", "at", "node", "life", "number", "first_at", "last_at", "events", "previous", "digest", "entries"))
	prepare(&s.erasures, insert("audit_erasures", "at", "id", "kind", "event", "content"))
	prepare(&s.token, insert("zenconn_batches", "token")+" ON CONFLICT DO NOTHING")
	prepare(&s.forget, "DELETE FROM zenconn_batches WHERE number <= (SELECT max(number) FROM zenconn_batches) - ?")
	return s, err
}

func insert(table string, columns ...string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
}

// Write stores the batch in one transaction, unless it has stored one with the same token.
func (s *Store) Write(ctx context.Context, b *audit.Batch) error {
	err := s.write(ctx, b)
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return fmt.Errorf("%w: %w", audit.ErrRefused, err)
		}
	}
	return err
}

func (s *Store) write(ctx context.Context, b *audit.Batch) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it has nothing to do.
	if fresh, err := s.note(tx, b.Token); err != nil || !fresh {
		return err
	}
	w := writer{ctx: ctx, row: make([]any, 0, 18)}
	each(&w, tx.Stmt(s.statements.messages), b.Messages, appendMessage)
	each(&w, tx.Stmt(s.statements.sessions), b.Sessions, appendSession)
	each(&w, tx.Stmt(s.statements.decisions), b.Decisions, appendDecision)
	each(&w, tx.Stmt(s.statements.actions), b.Actions, appendAction)
	each(&w, tx.Stmt(s.statements.deliveries), b.Deliveries, appendDelivery)
	each(&w, tx.Stmt(s.statements.drops), b.Drops, appendDrop)
	each(&w, tx.Stmt(s.statements.links), b.Links, appendLink)
	each(&w, tx.Stmt(s.statements.erasures), b.Erasures, appendErasure)
	if w.err != nil {
		return w.err
	}
	return tx.Commit()
}

// note writes down the token, and reports whether it is a new one. A batch without a token always is.
func (s *Store) note(tx *sql.Tx, token string) (fresh bool, err error) {
	if token == "" {
		return true, nil
	}
	result, err := tx.Stmt(s.statements.token).ExecContext(context.Background(), token) //nolint:sqlclosecheck // The end of tx closes it.
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	if err != nil || rows == 0 {
		return false, err
	}
	_, err = tx.Stmt(s.statements.forget).ExecContext(context.Background(), batchesKnown) //nolint:sqlclosecheck // The end of tx closes it.
	return true, err
}

// writer carries the first error through the tables of a batch.
type writer struct {
	ctx context.Context
	row []any
	err error
}

func each[E any](w *writer, statement *sql.Stmt, events []E, appendRow func([]any, E) []any) {
	for _, e := range events {
		if w.err == nil {
			w.err = w.ctx.Err()
		}
		if w.err != nil {
			return
		}
		w.row = appendRow(w.row[:0], e)
		// With the context of the batch, the driver would start a goroutine per row to watch it.
		_, w.err = statement.ExecContext(context.Background(), w.row...)
	}
}

func appendMessage(row []any, m *audit.Message) []any {
	return append(row, stamp(m.At), m.ID.String(), m.Node, m.Namespace, m.Channel, m.User, m.Session.String(), m.ClientID,
		integer(m.Offset), int64(m.Size), int64(m.Deliveries), string(m.Verdict), m.ContentType, payload(m.Payload), m.PayloadHash, tags(m.Tags),
		list(m.Decisions))
}

func appendSession(row []any, s *audit.Session) []any {
	return append(row, stamp(s.ConnectedAt), stamp(s.DisconnectedAt), s.Session.String(), s.Node, integer(s.NodeEpoch), int64(s.Worker),
		s.User, s.Transport, s.Protocol, address(s.RemoteAddr), s.UserAgent, integer(s.MessagesIn), integer(s.MessagesOut),
		integer(s.BytesIn), integer(s.BytesOut), int64(s.CloseCode), s.CloseReason, int64(s.Version))
}

func appendDecision(row []any, d *audit.Decision) []any {
	return append(row, stamp(d.At), d.ID.String(), d.Node, d.Hook, d.Plugin, d.PluginHash, string(d.Verdict), d.Reason, d.User,
		d.Session.String(), d.Channel, d.Message.String(), address(d.RemoteAddr), d.Latency.Microseconds())
}

func appendAction(row []any, a *audit.Action) []any {
	return append(row, stamp(a.At), a.ID.String(), a.Node, a.Actor, a.ActorKind, a.Action, a.Target, a.OK, a.Error,
		address(a.RemoteAddr), a.Request, a.Latency.Microseconds())
}

func appendDelivery(row []any, d *audit.Delivery) []any {
	return append(row, stamp(d.At), d.Message.String(), d.Node, d.Namespace, d.Channel, int64(d.Deliveries), int64(d.Drops))
}

func appendDrop(row []any, d *audit.Drop) []any {
	return append(row, stamp(d.At), d.Node, d.Session.String(), d.User, d.Reason, int64(d.Messages))
}

func appendLink(row []any, l *audit.Link) []any {
	return append(row, stamp(l.At), l.Node, l.Life, integer(l.Number), stamp(l.First), stamp(l.Last), int64(l.Events),
		hex.EncodeToString(l.Previous[:]), hex.EncodeToString(l.Digest[:]), l.Entries)
}

func appendErasure(row []any, e *audit.Erasure) []any {
	return append(row, stamp(e.At), e.ID.String(), e.Kind, e.Event.String(), e.Content)
}

func list(ids []core.ID) string {
	if len(ids) == 0 {
		return "[]"
	}
	text := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), id.String()...), '"')
	}
	return string(append(text, ']'))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

func payload(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	return b
}

func tags(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic("audit: " + err.Error()) // A map of strings always has a JSON form.
	}
	return string(text)
}

// address writes IPv4 addresses as such, also when they came mapped into IPv6, and none as "::", as ClickHouse does.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return "::"
	}
	return a.Unmap().WithZone("").String()
}

// integer caps at what SQLite can hold.
func integer(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
