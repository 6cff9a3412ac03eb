package audit_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/zenconn/server/test/chaos"
)

// doubt is the time before the end of a connection for which it may be that a worker died with what it had counted on it. It counts for a
// second, and how long a slow machine takes to hand that on nobody knows.
const doubt = 20 * time.Second

// verify ends the load and compares what the clients know with what ClickHouse has.
func (w *world) verify() {
	w.t.Helper()
	if w.t.Failed() {
		return
	}
	w.silence()
	w.compareMessages()
	w.compareSessions()
	verifies(w.t, w.servers[0])
}

// silence ends the load, waits until all of it is in ClickHouse, and ends the servers.
func (w *world) silence() {
	w.t.Helper()
	w.fleet.Verify()
	took := time.Since(w.began)
	w.fleet.Leave()
	chaos.Await(w.t, 10*chaos.Patience, "all is in ClickHouse", func() string {
		for _, s := range w.servers {
			if metric(w.t, s, "zenconn_audit_drain_leading") == 1 && metric(w.t, s, "zenconn_audit_spool_batches") > 0 {
				return fmt.Sprintf("%.0f batches wait in the spool", metric(w.t, s, "zenconn_audit_spool_batches"))
			}
		}
		if n := w.engine.number("count()", "audit_sessions WHERE version % 3 = 1"); n > 0 {
			return fmt.Sprintf("%d sessions are open", n)
		}
		return ""
	})
	for _, s := range w.servers {
		s.Stop()
	}
	w.t.Logf("%d clients in %d channels for %.0f s: %.0f messages acknowledged a second; %d answers of ClickHouse lost",
		*clients, *channels, took.Seconds(), float64(w.fleet.Acknowledged())/took.Seconds(), w.network.AnswersLost())
}

// stored is what ClickHouse has of one publication.
type stored struct {
	id         uuid.UUID
	deliveries int
}

// tally is what a comparison found.
type tally struct {
	rows, acknowledged, missing, twice int
	heard                              int // By somebody, and neither acknowledged nor recorded.
	calm, miscounted                   int // Publications that all heard live, and those of them with another number of deliveries.
	short, over                        int // Fewer deliveries than came for sure; more than there were subscribers.
	examples                           []string
}

func (t *tally) example(format string, args ...any) {
	if len(t.examples) < 10 {
		t.examples = append(t.examples, fmt.Sprintf(format, args...))
	}
}

// compareMessages checks that every acknowledged publication is there once, with as many deliveries as clients heard it.
//
// What was heard by all over connections that lasted has exactly as many deliveries as there are subscribers. Where a connection broke,
// nobody knows what of it came through: a worker that was killed takes with it what it counted in the last second, and what it queued
// may not have reached the client. Then the deliveries are at least those that came over connections that lasted. And a subscriber that
// comes back may be counted once more, on the connection that nobody knows to be dead.
func (w *world) compareMessages() {
	w.t.Helper()
	heard, listeners, numbers := w.fleet.Heard(doubt), w.fleet.Listeners(), w.fleet.Numbers()
	var t tally
	for channel, acknowledged := range numbers {
		there := w.stored(channel, &t)
		t.rows += len(there)
		t.acknowledged += len(acknowledged)
		for _, n := range acknowledged {
			if _, ok := there[n]; !ok {
				t.missing++
				t.example("%s: %d is missing", channel, n)
			}
		}
		for n, h := range heard[channel] {
			t.compare(fmt.Sprintf("%s: %d", channel, n), h, there[int64(n)], listeners[channel])
		}
	}
	w.t.Logf("%+v", t)
	if t.missing+t.twice+t.miscounted+t.short+t.over > 0 || t.calm == 0 {
		w.t.Errorf("of %d messages %d are missing, %d are there twice; of %d that all heard, %d have another number of deliveries; %d have fewer than "+
			"came, %d have more than there are subscribers:\n%s", t.acknowledged, t.missing, t.twice, t.calm, t.miscounted, t.short, t.over, strings.Join(t.examples, "\n"))
	}
	if n := w.engine.number("count() - count(DISTINCT id)", "audit_messages"); n != 0 {
		w.t.Errorf("%d messages are there twice", n)
	}
	counted, all := w.engine.number("sum(messages)", "audit_messages_1m"), w.engine.number("count()", "audit_messages")
	if counted != all {
		w.t.Errorf("the counts by the minute are of %d messages, and there are %d", counted, all)
	}
}

func (t *tally) compare(what string, h chaos.Heard, got stored, listeners int) {
	switch sure := h.Doubtful == 0 && h.Recovered == 0 && h.Live == listeners; {
	case got.id == uuid.Nil:
		if h.Live+h.Doubtful+h.Recovered > 0 {
			t.heard++
		}
	case sure:
		if t.calm++; got.deliveries != listeners {
			t.miscounted++
			t.example("%s has %d deliveries, %d subscribers heard it", what, got.deliveries, listeners)
		}
	case got.deliveries < h.Live:
		t.short++
		t.example("%s has %d deliveries: %+v", what, got.deliveries, h)
	case got.deliveries > 2*listeners:
		t.over++
		t.example("%s has %d deliveries: %+v", what, got.deliveries, h)
	}
}

// stored returns what there is of a channel, by the number that is the payload.
func (w *world) stored(channel string, t *tally) map[int64]stored {
	w.t.Helper()
	elsewhere := map[uuid.UUID]int{}
	w.engine.each(fmt.Sprintf("SELECT message, toInt64(sum(deliveries)) FROM audit_deliveries WHERE channel = '%s' GROUP BY message", channel), func(row driver.Rows) error {
		var id uuid.UUID
		var n int64
		err := row.Scan(&id, &n)
		elsewhere[id] = int(n)
		return err
	})
	all := map[int64]stored{}
	w.engine.each(fmt.Sprintf("SELECT toInt64(payload), id, toInt64(deliveries) FROM audit_messages WHERE channel = '%s'", channel), func(row driver.Rows) error {
		var number, deliveries int64
		var id uuid.UUID
		if err := row.Scan(&number, &id, &deliveries); err != nil {
			return err
		}
		if before, there := all[number]; there {
			t.twice++
			t.example("%s: %d is there as %s and as %s", channel, number, before.id, id)
		}
		all[number] = stored{id, int(deliveries) + elsewhere[id]}
		return nil
	})
	return all
}

// compareSessions checks that every connection that a client has had is there, and has ended for a reason.
func (w *world) compareSessions() {
	w.t.Helper()
	closed := map[string]bool{}
	w.engine.each("SELECT toString(session), version, toString(close_reason) FROM audit_sessions", func(row driver.Rows) error {
		var id, reason string
		var version uint8
		if err := row.Scan(&id, &version, &reason); err != nil {
			return err
		}
		closed[id] = version%3 != 1 && reason != ""
		return nil
	})
	unknown := doubt
	if *full { // On a machine that has the time for it.
		unknown = time.Second
	}
	missing, open, brief := 0, 0, 0
	for _, v := range w.fleet.Visits() {
		ended, there := closed[v.Session]
		switch {
		case there && !ended:
			open++
		case !there && v.Ended.Sub(v.Began) < unknown: // It may be unknown to all when its worker is killed.
			brief++
		case !there:
			missing++
		}
	}
	if missing+open > 0 {
		w.t.Errorf("of %d sessions %d are missing and %d have not ended, or for no reason", len(w.fleet.Visits()), missing, open)
	}
	w.t.Logf("%d sessions of clients, all closed; %d of less than %v are not there", len(w.fleet.Visits()), brief, unknown)
}
