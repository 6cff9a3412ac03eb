package clickhouse

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

func (s *Store) insertAll(ctx context.Context, b *audit.Batch) error {
	if err := s.insert(ctx, b, len(b.Messages), "audit_messages", messageColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Sessions), "audit_sessions", sessionColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Decisions), "audit_decisions", decisionColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Actions), "audit_actions", actionColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Deliveries), "audit_deliveries", deliveryColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Drops), "audit_drops", dropColumns); err != nil {
		return err
	}
	if err := s.insert(ctx, b, len(b.Links), "audit_chain", linkColumns); err != nil {
		return err
	}
	return s.insert(ctx, b, len(b.Erasures), "audit_erasures", erasureColumns)
}

// minFree is what a disk of the server must have left, in bytes, for it to take rows: they wait in the spool rather than find no room in the
// middle, where merges may be busy too.
const minFree = 64 << 20

// insert sends one table's rows as one block. Their token makes the server skip them when it has them; materialized views too.
func (s *Store) insert(ctx context.Context, b *audit.Batch, rows int, table string, columns func(*insert, *audit.Batch)) (err error) {
	if rows == 0 {
		return nil
	}
	ctx, end := insertContext(ctx, s.timeout)
	defer func() { end(err) }()
	settings := clickhouse.Settings{"async_insert": 0, "min_free_disk_bytes_to_perform_insert": minFree}
	if b.Token != "" {
		settings["insert_deduplicate"] = 1
		settings["insert_deduplication_token"] = b.Token
		settings["deduplicate_blocks_in_dependent_materialized_views"] = 1
	}
	into, err := s.conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), insertInto(table))
	if err != nil {
		return err
	}
	defer into.Close() //nolint:errcheck // After Send it has nothing to do, after a failure nothing to say.
	in := &insert{into: into, scratch: &s.scratch}
	columns(in, b)
	if in.err != nil {
		_ = into.Abort()
		return fmt.Errorf("%w: %w", audit.ErrRefused, in.err)
	}
	return into.Send()
}

// insertContext is the context of one insert, which ends with ctx, at its deadline or after the usual time. After a success it must not be
// ended before that: the driver has a goroutine that closes the connection when it ends, may notice only then that the insert is over, and the
// connection may be another statement's already.
func insertContext(ctx context.Context, usual time.Duration) (own context.Context, end func(err error)) {
	deadline, there := ctx.Deadline()
	if !there {
		deadline = time.Now().Add(usual)
	}
	own, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	stop := context.AfterFunc(ctx, cancel)
	return own, func(err error) {
		stop()
		if err != nil {
			cancel()
		}
	}
}

// insert is filled column by column, in the order of its statement.
type insert struct {
	into   driver.Batch
	column int
	err    error
	*scratch
}

// scratch is memory for one column of each type. The driver copies what it is given.
type scratch struct {
	times  []time.Time
	ids    []uuid.UUID
	lists  [][]uuid.UUID
	text   []string
	bytes  [][]byte
	addrs  []netip.Addr
	maps   []map[string]string
	bools  []bool
	bits8  []uint8
	bits16 []uint16
	bits32 []uint32
	bits64 []uint64
}

func add[E, V any](in *insert, values *[]V, events []E, get func(E) V) {
	if in.err != nil {
		return
	}
	for _, e := range events {
		*values = append(*values, get(e))
	}
	in.err = in.into.Column(in.column).Append(*values)
	in.column++
	clear(*values)
	*values = (*values)[:0]
}

func messageColumns(in *insert, b *audit.Batch) {
	rows := b.Messages
	add(in, &in.times, rows, func(m *audit.Message) time.Time { return stamp(m.At) })
	add(in, &in.ids, rows, func(m *audit.Message) uuid.UUID { return uuid.UUID(m.ID) })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.Node })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.Namespace })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.Channel })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.User })
	add(in, &in.ids, rows, func(m *audit.Message) uuid.UUID { return uuid.UUID(m.Session) })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.ClientID })
	add(in, &in.bits64, rows, func(m *audit.Message) uint64 { return m.Offset })
	add(in, &in.bits32, rows, func(m *audit.Message) uint32 { return m.Size })
	add(in, &in.bits32, rows, func(m *audit.Message) uint32 { return m.Deliveries })
	add(in, &in.text, rows, func(m *audit.Message) string { return string(m.Verdict) })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.ContentType })
	add(in, &in.bytes, rows, func(m *audit.Message) []byte { return m.Payload })
	add(in, &in.text, rows, func(m *audit.Message) string { return m.PayloadHash })
	add(in, &in.maps, rows, func(m *audit.Message) map[string]string { return m.Tags })
	add(in, &in.lists, rows, func(m *audit.Message) []uuid.UUID { return uuids(m.Decisions) })
}

func sessionColumns(in *insert, b *audit.Batch) {
	rows := b.Sessions
	add(in, &in.times, rows, func(s *audit.Session) time.Time { return stamp(s.ConnectedAt) })
	add(in, &in.times, rows, func(s *audit.Session) time.Time { return stamp(s.DisconnectedAt) })
	add(in, &in.ids, rows, func(s *audit.Session) uuid.UUID { return uuid.UUID(s.Session) })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.Node })
	add(in, &in.bits64, rows, func(s *audit.Session) uint64 { return s.NodeEpoch })
	add(in, &in.bits16, rows, func(s *audit.Session) uint16 { return s.Worker })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.User })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.Transport })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.Protocol })
	add(in, &in.addrs, rows, func(s *audit.Session) netip.Addr { return address(s.RemoteAddr) })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.UserAgent })
	add(in, &in.bits64, rows, func(s *audit.Session) uint64 { return s.MessagesIn })
	add(in, &in.bits64, rows, func(s *audit.Session) uint64 { return s.MessagesOut })
	add(in, &in.bits64, rows, func(s *audit.Session) uint64 { return s.BytesIn })
	add(in, &in.bits64, rows, func(s *audit.Session) uint64 { return s.BytesOut })
	add(in, &in.bits16, rows, func(s *audit.Session) uint16 { return s.CloseCode })
	add(in, &in.text, rows, func(s *audit.Session) string { return s.CloseReason })
	add(in, &in.bits8, rows, func(s *audit.Session) uint8 { return s.Version })
}

func decisionColumns(in *insert, b *audit.Batch) {
	rows := b.Decisions
	add(in, &in.times, rows, func(d *audit.Decision) time.Time { return stamp(d.At) })
	add(in, &in.ids, rows, func(d *audit.Decision) uuid.UUID { return uuid.UUID(d.ID) })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.Node })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.Hook })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.Plugin })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.PluginHash })
	add(in, &in.text, rows, func(d *audit.Decision) string { return string(d.Verdict) })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.Reason })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.User })
	add(in, &in.ids, rows, func(d *audit.Decision) uuid.UUID { return uuid.UUID(d.Session) })
	add(in, &in.text, rows, func(d *audit.Decision) string { return d.Channel })
	add(in, &in.ids, rows, func(d *audit.Decision) uuid.UUID { return uuid.UUID(d.Message) })
	add(in, &in.addrs, rows, func(d *audit.Decision) netip.Addr { return address(d.RemoteAddr) })
	add(in, &in.bits32, rows, func(d *audit.Decision) uint32 { return microseconds(d.Latency) })
}

func actionColumns(in *insert, b *audit.Batch) {
	rows := b.Actions
	add(in, &in.times, rows, func(a *audit.Action) time.Time { return stamp(a.At) })
	add(in, &in.ids, rows, func(a *audit.Action) uuid.UUID { return uuid.UUID(a.ID) })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Node })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Actor })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.ActorKind })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Action })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Target })
	add(in, &in.bools, rows, func(a *audit.Action) bool { return a.OK })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Error })
	add(in, &in.addrs, rows, func(a *audit.Action) netip.Addr { return address(a.RemoteAddr) })
	add(in, &in.text, rows, func(a *audit.Action) string { return a.Request })
	add(in, &in.bits32, rows, func(a *audit.Action) uint32 { return microseconds(a.Latency) })
}

func deliveryColumns(in *insert, b *audit.Batch) {
	rows := b.Deliveries
	add(in, &in.times, rows, func(d *audit.Delivery) time.Time { return stamp(d.At) })
	add(in, &in.ids, rows, func(d *audit.Delivery) uuid.UUID { return uuid.UUID(d.Message) })
	add(in, &in.text, rows, func(d *audit.Delivery) string { return d.Node })
	add(in, &in.text, rows, func(d *audit.Delivery) string { return d.Namespace })
	add(in, &in.text, rows, func(d *audit.Delivery) string { return d.Channel })
	add(in, &in.bits64, rows, func(d *audit.Delivery) uint64 { return uint64(d.Deliveries) })
	add(in, &in.bits64, rows, func(d *audit.Delivery) uint64 { return uint64(d.Drops) })
}

func dropColumns(in *insert, b *audit.Batch) {
	rows := b.Drops
	add(in, &in.times, rows, func(d *audit.Drop) time.Time { return stamp(d.At) })
	add(in, &in.text, rows, func(d *audit.Drop) string { return d.Node })
	add(in, &in.ids, rows, func(d *audit.Drop) uuid.UUID { return uuid.UUID(d.Session) })
	add(in, &in.text, rows, func(d *audit.Drop) string { return d.User })
	add(in, &in.text, rows, func(d *audit.Drop) string { return d.Reason })
	add(in, &in.bits32, rows, func(d *audit.Drop) uint32 { return d.Messages })
}

func linkColumns(in *insert, b *audit.Batch) {
	rows := b.Links
	add(in, &in.times, rows, func(l *audit.Link) time.Time { return stamp(l.At) })
	add(in, &in.text, rows, func(l *audit.Link) string { return l.Node })
	add(in, &in.text, rows, func(l *audit.Link) string { return l.Life })
	add(in, &in.bits64, rows, func(l *audit.Link) uint64 { return l.Number })
	add(in, &in.times, rows, func(l *audit.Link) time.Time { return stamp(l.First) })
	add(in, &in.times, rows, func(l *audit.Link) time.Time { return stamp(l.Last) })
	add(in, &in.bits32, rows, func(l *audit.Link) uint32 { return l.Events })
	add(in, &in.text, rows, func(l *audit.Link) string { return hex.EncodeToString(l.Previous[:]) })
	add(in, &in.text, rows, func(l *audit.Link) string { return hex.EncodeToString(l.Digest[:]) })
	add(in, &in.bytes, rows, func(l *audit.Link) []byte { return l.Entries })
}

func erasureColumns(in *insert, b *audit.Batch) {
	rows := b.Erasures
	add(in, &in.times, rows, func(e *audit.Erasure) time.Time { return stamp(e.At) })
	add(in, &in.ids, rows, func(e *audit.Erasure) uuid.UUID { return uuid.UUID(e.ID) })
	add(in, &in.text, rows, func(e *audit.Erasure) string { return e.Kind })
	add(in, &in.ids, rows, func(e *audit.Erasure) uuid.UUID { return uuid.UUID(e.Event) })
	add(in, &in.text, rows, func(e *audit.Erasure) string { return e.Content })
}

func uuids(ids []core.ID) []uuid.UUID {
	list := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		list[i] = uuid.UUID(id)
	}
	return list
}

// stamp gives the zero time the meaning it has in the table: the epoch.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

func address(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return a.WithZone("")
}

func microseconds(d time.Duration) uint32 { return uint32(min(max(d.Microseconds(), 0), 1<<32-1)) }
