package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
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

// statements insert what bulk shows; token and forget are about one value.
type statements struct{ messages, sessions, decisions, actions, deliveries, drops, links, erasures, token, forget *sql.Stmt }

func prepareStatements(db *sql.DB) (s statements, err error) {
	prepare := func(into **sql.Stmt, text string) {
		if err == nil {
			*into, err = db.PrepareContext(context.Background(), text) //nolint:sqlclosecheck // They live as long as db, which closes them.
		}
	}
	prepare(&s.messages, insert("audit_messages", "at", "id", "node", "namespace", "channel", "user", "session", "client_id", `"offset"`,
		"size", "deliveries", "verdict", "content_type", "payload", "payload_hash", "tags", "decisions", "block"))
	prepare(&s.sessions, insert("audit_sessions", "connected_at", "disconnected_at", "session", "node", "node_epoch", "worker", "user",
		"transport", "protocol", "remote_addr", "user_agent", "msgs_in", "msgs_out", "bytes_in", "bytes_out", "close_code", "close_reason",
		"version")+sessionReplaces)
	prepare(&s.decisions, insert("audit_decisions", "at", "id", "node", "hook", "plugin", "plugin_hash", "verdict", "reason", "user",
		"session", "channel", "message", "remote_addr", "latency_us", "block"))
	prepare(&s.actions, insert("audit_actions", "at", "id", "node", "actor", "actor_kind", "action", "target", "ok", "error",
		"remote_addr", "request", "latency_us"))
	prepare(&s.deliveries, insert("audit_deliveries", "at", "message", "node", "namespace", "channel", "deliveries", "drops")+deliveriesAdd)
	prepare(&s.drops, insert("audit_drops", "at", "node", "session", "user", "reason", "messages"))
	prepare(&s.links, insert("audit_chain", "at", "node", "life", "number", "first_at", "last_at", "events", "previous", "digest", "entries"))
	prepare(&s.erasures, insert("audit_erasures", "at", "id", "kind", "event", "content"))
	prepare(&s.token, "INSERT INTO zenconn_batches (token) VALUES (?) ON CONFLICT DO NOTHING")
	prepare(&s.forget, "DELETE FROM zenconn_batches WHERE number <= (SELECT max(number) FROM zenconn_batches) - ?")
	return s, err
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
	w := writer{ctx: ctx, bulk: s.bulk}
	each(&w, tx.Stmt(s.statements.messages), b.Messages, s.messageBlocks.appendMessage)
	each(&w, tx.Stmt(s.statements.sessions), b.Sessions, appendSession)
	each(&w, tx.Stmt(s.statements.decisions), b.Decisions, s.decisionBlocks.appendDecision)
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
	ctx  context.Context
	bulk *bulk
	err  error
}

func each[E any](w *writer, statement *sql.Stmt, events []E, appendRow func([]driver.Value, E) []driver.Value) {
	if w.err != nil || len(events) == 0 {
		return
	}
	w.bulk.rows = len(events)
	w.bulk.fill = func(row []driver.Value, n int) []driver.Value { return appendRow(row, events[n]) }
	_, w.err = statement.ExecContext(w.ctx)
	w.bulk.rows, w.bulk.fill = 0, nil
}

// blockRows is how many rows have the same block, at most. The indexes by user and by channel begin with it; see the migration.
const blockRows = 8192

// blocks numbers the blocks of a table.
type blocks struct {
	current int64
	room    int // Rows that still belong to it.
}

func (b *blocks) next() int64 {
	if b.room == 0 {
		b.current++
		b.room = blockRows
	}
	b.room--
	return b.current
}

func (b *blocks) appendMessage(row []driver.Value, m *audit.Message) []driver.Value {
	return append(row, stamp(m.At), m.ID.String(), m.Node, m.Namespace, m.Channel, m.User, m.Session.String(), m.ClientID,
		integer(m.Offset), int64(m.Size), int64(m.Deliveries), string(m.Verdict), m.ContentType, payload(m.Payload), m.PayloadHash, tags(m.Tags),
		list(m.Decisions), b.next())
}

func appendSession(row []driver.Value, s *audit.Session) []driver.Value {
	return append(row, stamp(s.ConnectedAt), stamp(s.DisconnectedAt), s.Session.String(), s.Node, integer(s.NodeEpoch), int64(s.Worker),
		s.User, s.Transport, s.Protocol, address(s.RemoteAddr), s.UserAgent, integer(s.MessagesIn), integer(s.MessagesOut),
		integer(s.BytesIn), integer(s.BytesOut), int64(s.CloseCode), s.CloseReason, int64(s.Version))
}

func (b *blocks) appendDecision(row []driver.Value, d *audit.Decision) []driver.Value {
	return append(row, stamp(d.At), d.ID.String(), d.Node, d.Hook, d.Plugin, d.PluginHash, string(d.Verdict), d.Reason, d.User,
		d.Session.String(), d.Channel, d.Message.String(), address(d.RemoteAddr), d.Latency.Microseconds(), b.next())
}

func appendAction(row []driver.Value, a *audit.Action) []driver.Value {
	return append(row, stamp(a.At), a.ID.String(), a.Node, a.Actor, a.ActorKind, a.Action, a.Target, a.OK, a.Error,
		address(a.RemoteAddr), a.Request, a.Latency.Microseconds())
}

func appendDelivery(row []driver.Value, d *audit.Delivery) []driver.Value {
	return append(row, stamp(d.At), d.Message.String(), d.Node, d.Namespace, d.Channel, int64(d.Deliveries), int64(d.Drops))
}

func appendDrop(row []driver.Value, d *audit.Drop) []driver.Value {
	return append(row, stamp(d.At), d.Node, d.Session.String(), d.User, d.Reason, int64(d.Messages))
}

func appendLink(row []driver.Value, l *audit.Link) []driver.Value {
	return append(row, stamp(l.At), l.Node, l.Life, integer(l.Number), stamp(l.First), stamp(l.Last), int64(l.Events),
		hex.EncodeToString(l.Previous[:]), hex.EncodeToString(l.Digest[:]), l.Entries)
}

func appendErasure(row []driver.Value, e *audit.Erasure) []driver.Value {
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
