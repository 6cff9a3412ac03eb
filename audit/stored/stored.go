package stored

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Store answers questions; see audit.Sink.
type Store interface {
	Query(ctx context.Context, sql string) (audit.Rows, error)
}

// Time is a time as a literal for a comparison with a column. None, and what is before the epoch, is the epoch.
func Time(t time.Time) string {
	if t.Unix() < 0 {
		t = time.Unix(0, 0)
	}
	return "'" + t.UTC().Format("2006-01-02 15:04:05.000") + "'"
}

// ID is an identifier as a literal.
func ID(id core.ID) string { return "'" + id.String() + "'" }

// Text is any text as a literal. No character of it has a meaning, in whatever dialect.
func Text(s string) string { return "CAST(unhex('" + hex.EncodeToString([]byte(s)) + "') AS TEXT)" }

const (
	messageColumns = `at, id, node, namespace, channel, user, session, client_id, offset, size, deliveries, verdict, content_type, payload,
		payload_hash, tags, decisions`
	sessionColumns = `connected_at, disconnected_at, session, node, node_epoch, worker, user, transport, protocol, remote_addr, user_agent,
		msgs_in, msgs_out, bytes_in, bytes_out, close_code, close_reason, version`
	decisionColumns = "at, id, node, hook, plugin, plugin_hash, verdict, reason, user, session, channel, message, remote_addr, latency_us"
	actionColumns   = "at, id, node, actor, actor_kind, action, target, ok, error, remote_addr, request, latency_us"
	dropColumns     = "at, node, session, user, reason, messages"
	linkColumns     = "at, node, life, number, first_at, last_at, events, previous, digest, entries"
	erasureColumns  = "at, id, kind, event, content"
)

// Messages reads messages. clauses is what follows the table's name in SQL, and may be empty; so it is with the others.
func Messages(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Message, error] {
	return read(ctx, from, messageColumns, "audit_messages", clauses, func(r *row) *audit.Message {
		return &audit.Message{
			At: r.time(), ID: r.id(), Node: r.text(), Namespace: r.text(), Channel: r.text(), User: r.text(), Session: r.id(),
			ClientID: r.text(), Offset: r.number(), Size: uint32(r.number()), Deliveries: uint32(r.number()),
			Verdict: audit.MessageVerdict(r.text()), ContentType: r.text(), Payload: r.bytes(), PayloadHash: r.text(), Tags: r.tags(),
			Decisions: r.ids(),
		}
	})
}

// Sessions reads sessions, each in its latest version.
func Sessions(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Session, error] {
	return read(ctx, from, sessionColumns, "audit_sessions", clauses, func(r *row) *audit.Session {
		return &audit.Session{
			ConnectedAt: r.time(), DisconnectedAt: r.time(), Session: r.id(), Node: r.text(), NodeEpoch: r.number(), Worker: uint16(r.number()),
			User: r.text(), Transport: r.text(), Protocol: r.text(), RemoteAddr: r.addr(), UserAgent: r.text(), MessagesIn: r.number(),
			MessagesOut: r.number(), BytesIn: r.number(), BytesOut: r.number(), CloseCode: uint16(r.number()), CloseReason: r.text(),
			Version: uint8(r.number()),
		}
	})
}

// Decisions reads decisions.
func Decisions(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Decision, error] {
	return read(ctx, from, decisionColumns, "audit_decisions", clauses, func(r *row) *audit.Decision {
		return &audit.Decision{
			At: r.time(), ID: r.id(), Node: r.text(), Hook: r.text(), Plugin: r.text(), PluginHash: r.text(),
			Verdict: audit.DecisionVerdict(r.text()), Reason: r.text(), User: r.text(), Session: r.id(), Channel: r.text(), Message: r.id(),
			RemoteAddr: r.addr(), Latency: r.microseconds(),
		}
	})
}

// Actions reads actions.
func Actions(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Action, error] {
	return read(ctx, from, actionColumns, "audit_actions", clauses, func(r *row) *audit.Action {
		return &audit.Action{
			At: r.time(), ID: r.id(), Node: r.text(), Actor: r.text(), ActorKind: r.text(), Action: r.text(), Target: r.text(), OK: r.bool(),
			Error: r.text(), RemoteAddr: r.addr(), Request: r.text(), Latency: r.microseconds(),
		}
	})
}

// Drops reads what sessions did not get.
func Drops(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Drop, error] {
	return read(ctx, from, dropColumns, "audit_drops", clauses, func(r *row) *audit.Drop {
		return &audit.Drop{At: r.time(), Node: r.text(), Session: r.id(), User: r.text(), Reason: r.text(), Messages: uint32(r.number())}
	})
}

// Links reads links of the chains.
func Links(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Link, error] {
	return read(ctx, from, linkColumns, "audit_chain", clauses, func(r *row) *audit.Link {
		return &audit.Link{
			At: r.time(), Node: r.text(), Life: r.text(), Number: r.number(), First: r.time(), Last: r.time(), Events: uint32(r.number()),
			Previous: r.digest(), Digest: r.digest(), Entries: r.bytes(),
		}
	})
}

// Erasures reads what was erased.
func Erasures(ctx context.Context, from Store, clauses string) iter.Seq2[*audit.Erasure, error] {
	return read(ctx, from, erasureColumns, "audit_erasures", clauses, func(r *row) *audit.Erasure {
		return &audit.Erasure{At: r.time(), ID: r.id(), Kind: r.text(), Event: r.id(), Content: r.text()}
	})
}

// read asks when it is ranged over, and ends with the first error.
func read[E any](ctx context.Context, from Store, columns, table, clauses string, event func(*row) *E) iter.Seq2[*E, error] {
	return func(yield func(*E, error) bool) {
		rows, err := from.Query(ctx, strings.Join([]string{"SELECT", columns, "FROM", table, clauses}, " "))
		if err != nil {
			yield(nil, err)
			return
		}
		err = func() error {
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					return err
				}
				r := row{values: values}
				e := event(&r)
				if r.err != nil {
					return r.err
				}
				if !yield(e, nil) {
					return errStop
				}
			}
			return rows.Err()
		}()
		closed := rows.Close()
		if !errors.Is(err, errStop) && errors.Join(err, closed) != nil {
			yield(nil, errors.Join(err, closed))
		}
	}
}

var errStop = errors.New("the caller wants no more")
