package chain

import (
	"maps"
	"slices"
	"strings"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core"
)

// verifySessions compares the sessions with the latest versions that the links vouch for. Sessions change while they are read, so what
// does not fit is looked at once more, with the links as they are then.
func (v *verifier) verifySessions() error {
	clauses := ""
	if !v.Since.IsZero() {
		clauses = "WHERE connected_at >= " + stored.Time(v.Since)
	}
	doubtful := map[core.ID]bool{}
	for s, err := range stored.Sessions(v.ctx, v.store, clauses) {
		if err != nil {
			return err
		}
		v.report.Rows++
		if !v.fits(s) {
			doubtful[s.Session] = true
		}
	}
	for id, known := range v.sessions {
		if !known.seen {
			doubtful[id] = true
		}
	}
	if len(doubtful) == 0 {
		return nil
	}
	if err := v.vouchAgain(); err != nil {
		return err
	}
	for ids := range slices.Chunk(slices.SortedFunc(maps.Keys(doubtful), func(a, b core.ID) int { return strings.Compare(a.String(), b.String()) }), 500) {
		if err := v.judgeSessions(ids); err != nil {
			return err
		}
	}
	return nil
}

// fits reports whether a session is as the links say.
func (v *verifier) fits(s *audit.Session) bool {
	known := v.sessions[s.Session]
	if known == nil || known.version != s.Version || !slices.Contains(known.contents, v.canon.session(s)) {
		return false
	}
	known.seen = true
	return true
}

// vouchAgain reads the links that came since the verification began.
func (v *verifier) vouchAgain() error {
	for l, err := range stored.Links(v.ctx, v.store, "WHERE at >= "+stored.Time(v.Since)) {
		if err != nil {
			return err
		}
		if l.Number <= v.known[l.Life] {
			continue
		}
		all, err := entries(l)
		if err != nil {
			continue // The next verification tells.
		}
		for _, e := range all {
			if e.kind == kindSession {
				v.vouch(e, &place{l.Life, l.Number, l.At, l.First, l.Last})
			}
		}
	}
	return nil
}

// judgeSessions looks at sessions once more.
func (v *verifier) judgeSessions(ids []core.ID) error {
	var list []string
	for _, id := range ids {
		list = append(list, stored.ID(id))
	}
	there := map[core.ID]*audit.Session{}
	for s, err := range stored.Sessions(v.ctx, v.store, "WHERE session IN ("+strings.Join(list, ", ")+")") {
		if err != nil {
			return err
		}
		there[s.Session] = s
	}
	const table = "audit_sessions"
	for _, id := range ids {
		s, known := there[id], v.sessions[id]
		switch {
		case s != nil && (v.fits(s) || known == nil && s.ConnectedAt.Before(v.Since)):
		case s == nil && known != nil:
			excused := false
			for _, content := range known.contents {
				excused = excused || v.excuse(kindSession, content, madeAt(id), known.link)
			}
			if !excused {
				v.problem(madeAt(id), table, "missing row", "the session %s, which %s vouches for, is not there", id, known.link)
			}
		case s != nil && known == nil:
			v.problem(s.ConnectedAt, table, "unknown row", "the session %s was not recorded: it was added", id)
		case s != nil && s.Version < known.version && (known.link.number > v.known[known.link.life] || v.Now.Sub(known.link.at) < settling):
			v.report.Pending++
		case s != nil:
			v.problem(s.ConnectedAt, table, "changed row", "the session %s is not what was recorded: its version is %d, and the last one that was recorded %d",
				id, s.Version, known.version)
		}
	}
	return nil
}
