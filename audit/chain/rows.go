package chain

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/stored"
)

// tableOf is where events of a kind are.
func tableOf(kind byte) string {
	switch kind {
	case kindMessage:
		return "audit_messages"
	case kindSession:
		return "audit_sessions"
	case kindDecision:
		return "audit_decisions"
	case kindAction:
		return "audit_actions"
	case kindDrop:
		return "audit_drops"
	}
	return fmt.Sprintf("events of the kind %d, which this program does not know", kind)
}

// key is an event as a link and a row can both be compared.
type key struct {
	kind byte
	Content
}

// open are the links whose time has come, and the rows, of which each cancels what a link says.
type open struct {
	claims map[key]*claim
	links  map[*place][]key // Whose end has not come yet.
}

// claim is how many events the links say there are of one digest, and how many rows there are.
type claim struct {
	links, rows int
	at          time.Time // Of a row.
	what        string    // The row, for people.
}

// verifyRows compares what the links say with the rows, in the order of their times, so that no more is remembered at a time than the
// links that reach over it.
func (v *verifier) verifyRows() error {
	from := v.Since
	if !from.IsZero() { // The first links begin before.
		for l, err := range stored.Links(v.ctx, v.store, "WHERE last_at >= "+stored.Time(v.Since)+" ORDER BY first_at LIMIT 1") {
			if err != nil {
				return err
			}
			if !l.First.IsZero() && l.First.Before(from) {
				from = l.First
			}
		}
	}
	spans, err := v.spans(from)
	if err != nil {
		return err
	}
	o := &open{claims: map[key]*claim{}, links: map[*place][]key{}}
	begin := time.Time{}
	for _, s := range spans {
		if err := v.rows(o, s); err != nil {
			return err
		}
		if err := v.links(o, begin, s.end); err != nil {
			return err
		}
		begin = s.end
		v.settle(o, s.end)
	}
	if err := v.links(o, begin, time.Time{}); err != nil {
		return err
	}
	v.settle(o, time.Time{})
	return nil
}

// span is a time in which not too many rows lie.
type span struct{ begin, end time.Time }

// spanRows is how many rows a span has, if a minute has not more.
const spanRows = 200_000

// spans returns times, one after the other, in which all rows are.
func (v *verifier) spans(from time.Time) (all []span, err error) {
	hours, err := v.count(from, time.Time{}, time.Hour)
	if err != nil {
		return nil, err
	}
	rows := 0 // In the last span.
	add := func(c counted, unit time.Duration) {
		if len(all) > 0 && rows+c.rows <= spanRows {
			all[len(all)-1].end, rows = c.begin.Add(unit), rows+c.rows
			return
		}
		all, rows = append(all, span{c.begin, c.begin.Add(unit)}), c.rows
	}
	for _, h := range hours {
		if h.rows <= spanRows {
			add(h, time.Hour)
			continue
		}
		minutes, err := v.count(h.begin, h.begin.Add(time.Hour), time.Minute)
		if err != nil {
			return nil, err
		}
		for _, m := range minutes {
			add(m, time.Minute)
		}
	}
	return all, nil
}

type counted struct {
	begin time.Time
	rows  int
}

// count returns in which hours, or minutes, there are rows, and how many.
func (v *verifier) count(from, to time.Time, unit time.Duration) (all []counted, err error) {
	layout := "2006-01-02 15"
	if unit == time.Minute {
		layout = "2006-01-02 15:04"
	}
	where := "at >= " + stored.Time(from)
	if !to.IsZero() {
		where += " AND at < " + stored.Time(to)
	}
	var parts []string
	for _, table := range []string{"audit_messages", "audit_decisions", "audit_actions", "audit_drops"} {
		parts = append(parts, fmt.Sprintf("SELECT substring(CAST(at AS TEXT), 1, %d) AS t, count(*) AS n FROM %s WHERE %s GROUP BY t", len(layout), table, where))
	}
	rows, err := v.store.Query(v.ctx, "SELECT t, sum(n) FROM ("+strings.Join(parts, " UNION ALL ")+") AS u GROUP BY t ORDER BY t")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err says it.
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		t, err := time.ParseInLocation(layout, fmt.Sprint(values[0]), time.UTC)
		if err != nil {
			return nil, err
		}
		n := 0
		if _, err := fmt.Sscan(fmt.Sprint(values[1]), &n); err != nil {
			return nil, err
		}
		all = append(all, counted{t, n})
	}
	return all, rows.Err()
}

// rows takes the rows of a span. They are read before the links: a link is written before its rows, so every row has its link then.
func (v *verifier) rows(o *open, s span) error {
	clauses := "WHERE at >= " + stored.Time(s.begin) + " AND at < " + stored.Time(s.end)
	if err := collect(v, o, kindMessage, stored.Messages(v.ctx, v.store, clauses), v.canon.message, func(m *audit.Message) (time.Time, string) {
		return m.At, fmt.Sprintf("the message %s in %q", m.ID, m.Channel)
	}); err != nil {
		return err
	}
	if err := collect(v, o, kindDecision, stored.Decisions(v.ctx, v.store, clauses), v.canon.decision, func(d *audit.Decision) (time.Time, string) {
		return d.At, fmt.Sprintf("the decision %s of %q", d.ID, d.Plugin)
	}); err != nil {
		return err
	}
	if err := collect(v, o, kindAction, stored.Actions(v.ctx, v.store, clauses), v.canon.action, func(a *audit.Action) (time.Time, string) {
		return a.At, fmt.Sprintf("the action %s, %q by %q", a.ID, a.Action, a.Actor)
	}); err != nil {
		return err
	}
	return collect(v, o, kindDrop, stored.Drops(v.ctx, v.store, clauses), v.canon.drop, func(d *audit.Drop) (time.Time, string) {
		return d.At, fmt.Sprintf("the drop of session %s (%s)", d.Session, d.Reason)
	})
}

func collect[E any](v *verifier, o *open, kind byte, events iter.Seq2[*E, error], content func(*E) Content, what func(*E) (time.Time, string)) error {
	for e, err := range events {
		if err != nil {
			return err
		}
		v.report.Rows++
		c := o.claim(key{kind, content(e)})
		c.rows++
		c.at, c.what = what(e)
	}
	return nil
}

func (o *open) claim(k key) *claim {
	c := o.claims[k]
	if c == nil {
		c = &claim{}
		o.claims[k] = c
	}
	return c
}

// links takes the links whose first event is of a time; zero: without bound.
func (v *verifier) links(o *open, begin, end time.Time) error {
	where := "WHERE last_at >= " + stored.Time(v.Since) + " AND first_at >= " + stored.Time(begin)
	if !end.IsZero() {
		where += " AND first_at < " + stored.Time(end)
	}
	for l, err := range stored.Links(v.ctx, v.store, where) {
		if err != nil {
			return err
		}
		all, err := entries(l)
		if err != nil || l.First.IsZero() {
			continue // Told by verifyLinks; and sessions are compared by themselves.
		}
		p := &place{l.Life, l.Number, l.At, l.First, l.Last}
		var keys []key
		for _, e := range all {
			if e.kind != kindSession {
				k := key{e.kind, e.content}
				o.claim(k).links++
				keys = append(keys, k)
			}
		}
		o.links[p] = keys
	}
	return nil
}

// settle judges what is complete as of a time, zero: all. A row belongs to a link that begins before it, so rows are complete at once;
// links are when their last event's time is over.
func (v *verifier) settle(o *open, now time.Time) {
	for k, c := range o.claims {
		if c.rows > c.links && !c.at.Before(v.Since) {
			v.problem(c.at, tableOf(k.kind), "unknown row", "%s is not what was recorded: it was changed, or added", c.what)
		}
		if c.rows >= c.links {
			delete(o.claims, k)
		} else {
			c.links, c.rows = c.links-c.rows, 0
		}
	}
	for p, keys := range o.links {
		if !now.IsZero() && !p.last.Before(now) {
			continue
		}
		delete(o.links, p)
		missing := map[byte]int{}
		for _, k := range keys {
			c := o.claims[k]
			if c == nil {
				continue
			}
			if c.links--; c.links == 0 {
				delete(o.claims, k)
			}
			if v.excuse(k.kind, k.Content, p.first, p) {
				continue
			}
			missing[k.kind]++
		}
		for kind, n := range missing {
			v.problem(p.first, tableOf(kind), "missing row", "%d of the rows that %s vouches for are not there as they were recorded, of the time %s to %s: "+
				"removed, changed, or set aside (zenconn audit retry)", n, p, p.first.UTC().Format(time.DateTime), p.last.UTC().Format(time.DateTime))
		}
	}
}

// excuse says whether an event may be missing, and counts why.
func (v *verifier) excuse(kind byte, content Content, of time.Time, link *place) bool {
	switch {
	case v.gone.has(tableOf(kind), content):
		v.report.Erased++
	case of.Before(v.horizon(tableOf(kind))):
		v.report.Expired++
	case link.number > v.known[link.life] || v.Now.Sub(link.at) < settling:
		v.report.Pending++
	default:
		return false
	}
	return true
}
