package chain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core"
)

// Keep says how long the rows are kept, by table; what is missing or zero is kept for ever.
type Keep map[string]time.Duration

// VerifyOptions say what is verified. Zero fields take the value in brackets.
type VerifyOptions struct {
	Since    time.Time // Earlier rows and links are not judged [the beginning].
	Keep     Keep      // What may be gone because of its age.
	Heads    []Head    // Links that must be there as they were published.
	Problems int       // At most so many are described [20].
	Now      time.Time // [now]
}

// Report says what was found.
type Report struct {
	Lives    int       `json:"chains"`
	Links    int       `json:"links"`
	Events   int       `json:"events"`   // That the links vouch for.
	Rows     int       `json:"rows"`     // That were compared.
	Expired  int       `json:"expired"`  // Events that are gone because their time was over.
	Erased   int       `json:"erased"`   // Events that were erased, and signed off.
	Pending  int       `json:"pending"`  // Events that are on their way to the store now.
	Heads    []string  `json:"heads"`    // Ends of the chains, latest first: what to keep elsewhere.
	Broken   int       `json:"broken"`   // How many problems there are.
	Problems []Problem `json:"problems"` // The first of them: links, then rows, each by time.
}

// Problem is one thing that is not as it was recorded.
type Problem struct {
	What  string    `json:"what"`  // "missing link", "changed link", "missing row", "unknown row", …
	Where string    `json:"where"` // The table, and for a link its place.
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

func (p Problem) String() string {
	return fmt.Sprintf("%s, %s, %s: %s", p.At.UTC().Format("2006-01-02 15:04:05.000"), p.Where, p.What, p.Why)
}

// rank puts links before rows: when a link is missing, all its rows are unknown.
func (p Problem) rank() int {
	if strings.HasPrefix(p.Where, "audit_chain") {
		return 0
	}
	return 1
}

// settling is how young a link is whose events may still be on their way: they are written right behind it.
const settling = 2 * time.Minute

// maxHeads is how many chains' ends a report has.
const maxHeads = 20

// verifier is one verification.
type verifier struct {
	ctx   context.Context
	store stored.Store
	VerifyOptions
	report   Report
	sessions map[core.ID]*vouched // The latest version that the links vouch for.
	known    map[string]uint64    // The last link of every chain when the verification began; what came later is on its way.
	gone     erased
	trimmed  map[string]time.Time // By vacuum, signed off: up to when, by table.
	canon    *canon
}

// vouched is what the links say of a session.
type vouched struct {
	version  uint8
	contents []Content // Several only when several processes said that the session was lost.
	link     *place
	seen     bool
}

// place says where a link is, without its entries.
type place struct {
	life        string
	number      uint64
	at          time.Time
	first, last time.Time
}

func (p *place) String() string { return fmt.Sprintf("audit_chain %s#%d", p.life, p.number) }

// Verify recomputes the chains from the rows of a store. The error says that it could not.
func Verify(ctx context.Context, store stored.Store, o VerifyOptions) (*Report, error) {
	o.Problems = cmp.Or(o.Problems, 20)
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	v := &verifier{
		ctx: ctx, store: store, VerifyOptions: o, sessions: map[core.ID]*vouched{}, known: map[string]uint64{}, trimmed: map[string]time.Time{}, canon: newCanon(),
	}
	for _, step := range []func() error{v.verifySignatures, v.verifyLinks, v.verifyRows, v.verifySessions} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int {
		if of := cmp.Compare(a.rank(), b.rank()); of != 0 {
			return of
		}
		return a.At.Compare(b.At)
	})
	v.report.Problems = v.report.Problems[:min(len(v.report.Problems), o.Problems)]
	return &v.report, nil
}

// maxProblems bounds what is remembered; they are found in another order than they are told.
const maxProblems = 10_000

func (v *verifier) problem(at time.Time, where, what, why string, args ...any) {
	v.report.Broken++
	if len(v.report.Problems) < max(maxProblems, v.Problems) {
		v.report.Problems = append(v.report.Problems, Problem{what, where, at, fmt.Sprintf(why, args...)})
	}
}

// horizon is the time before which a table's rows may be gone.
func (v *verifier) horizon(table string) time.Time {
	h := v.trimmed[table]
	if keep := v.Keep[table]; keep > 0 && v.Now.Add(-keep).After(h) {
		h = v.Now.Add(-keep)
	}
	return h
}

// verifyLinks goes along every chain: no link is missing, and each is what its digest says.
func (v *verifier) verifyLinks() error {
	clauses := "ORDER BY life, number"
	if !v.Since.IsZero() {
		clauses = "WHERE at >= " + stored.Time(v.Since) + " " + clauses
	}
	wanted := map[string]map[uint64]audit.Digest{}
	for _, h := range v.Heads {
		if wanted[h.Life] == nil {
			wanted[h.Life] = map[uint64]audit.Digest{}
		}
		wanted[h.Life][h.Number] = h.Digest
	}
	var before *audit.Link
	type end struct {
		at time.Time
		Head
	}
	var ends []end
	finish := func() {
		if before != nil {
			ends = append(ends, end{before.At, Head{before.Life, before.Number, before.Digest}})
		}
	}
	for l, err := range stored.Links(v.ctx, v.store, clauses) {
		if err != nil {
			return err
		}
		if before == nil || before.Life != l.Life {
			finish()
			v.report.Lives++
			before = nil
		}
		if err := v.verifyLink(before, l); err != nil {
			return err
		}
		if want, ok := wanted[l.Life][l.Number]; ok {
			if want != l.Digest {
				v.problem(l.At, (&place{life: l.Life, number: l.Number}).String(), "another chain", "its digest is not the one that was published: the chain was written anew")
			}
			delete(wanted[l.Life], l.Number)
		}
		l.Entries = nil
		before, v.known[l.Life] = l, l.Number
	}
	finish()
	for life, numbers := range wanted {
		for number := range numbers {
			v.problem(v.Now, (&place{life: life, number: number}).String(), "missing link", "the link that was published is not there: the end of the chain was removed, or is not stored yet")
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return b.at.Compare(a.at) })
	for _, e := range ends[:min(len(ends), maxHeads)] {
		v.report.Heads = append(v.report.Heads, e.String())
	}
	return nil
}

// vouch notes what a link says of a session.
func (v *verifier) vouch(e entry, where *place) {
	known := v.sessions[e.session]
	switch {
	case known == nil || e.version > known.version:
		v.sessions[e.session] = &vouched{version: e.version, contents: []Content{e.content}, link: where}
	case e.version == known.version && !slices.Contains(known.contents, e.content):
		known.contents = append(known.contents, e.content)
	}
}

func (v *verifier) verifyLink(before, l *audit.Link) error {
	where := &place{l.Life, l.Number, l.At, l.First, l.Last}
	v.report.Links++
	v.report.Events += int(l.Events)
	switch {
	case before == nil && l.Number == 1:
		if l.Previous != (audit.Digest{}) {
			v.problem(l.At, where.String(), "changed link", "it is the first of its chain and names one before it")
		}
	case before == nil:
		if v.Since.IsZero() && !l.At.Before(v.horizon("audit_chain").Add(settling)) {
			v.problem(l.At, where.String(), "missing link", "the chain begins with number %d: those before it are gone", l.Number)
		}
	case l.Number == before.Number:
		v.problem(l.At, where.String(), "unknown link", "there are two of this number")
	case l.Number != before.Number+1:
		v.problem(l.At, where.String(), "missing link", "after number %d comes number %d", before.Number, l.Number)
	case l.Previous != before.Digest:
		v.problem(l.At, where.String(), "changed link", "it does not follow from the one before it: one of them was changed")
	}
	if digest(l) != l.Digest {
		v.problem(l.At, where.String(), "changed link", "its content does not have the digest that it says")
	}
	all, err := entries(l)
	if err != nil {
		v.problem(l.At, where.String(), "changed link", "%v", err)
		return nil
	}
	for _, e := range all {
		if e.kind == kindSession {
			v.vouch(e, where)
		}
	}
	return nil
}
