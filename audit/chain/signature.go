package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core"
)

// The actions that sign off what was removed on purpose. What they say is their request.
const (
	ActionForget = "audit_forget"
	ActionVacuum = "audit_vacuum"
)

// Forgotten is the request of an ActionForget.
type Forgotten struct {
	Erasure core.ID        `json:"erasure"`
	Digest  string         `json:"digest"` // Sum of its rows.
	Rows    map[string]int `json:"rows"`   // By table.
}

// Vacuumed is the request of an ActionVacuum.
type Vacuumed struct {
	Before map[string]time.Time `json:"before"` // By table: what was earlier is gone.
}

// Sum is the digest of an erasure's rows.
func Sum(erasures []*audit.Erasure) string {
	lines := make([]string, len(erasures))
	for i, e := range erasures {
		lines[i] = e.Kind + " " + e.Event.String() + " " + e.Content + "\n"
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// erased are the digests of events that were erased, by table.
type erased map[string]map[string]bool

func (e erased) has(table string, content Content) bool { return e[table][content.String()] }

// verifySignatures finds out what was removed on purpose. That the actions themselves are genuine, verifyRows says.
func (v *verifier) verifySignatures() error {
	signed := map[core.ID]string{}
	for a, err := range stored.Actions(v.ctx, v.store, "WHERE action IN ('"+ActionForget+"', '"+ActionVacuum+"')") {
		if err != nil {
			return err
		}
		if !a.OK {
			continue
		}
		switch a.Action {
		case ActionForget:
			var f Forgotten
			if json.Unmarshal([]byte(a.Request), &f) == nil {
				signed[f.Erasure] = f.Digest
			}
		case ActionVacuum:
			var f Vacuumed
			if json.Unmarshal([]byte(a.Request), &f) == nil {
				for table, before := range f.Before {
					if before.After(v.trimmed[table]) {
						v.trimmed[table] = before
					}
				}
			}
		}
	}
	v.gone = erased{}
	var one []*audit.Erasure
	judge := func() {
		if len(one) == 0 {
			return
		}
		if digest, ok := signed[one[0].ID]; !ok || digest != Sum(one) {
			v.problem(one[0].At, "audit_erasures", "unknown erasure", "no action signs off the erasure %s of %d rows as it is", one[0].ID, len(one))
			return
		}
		for _, e := range one {
			if v.gone[e.Kind] == nil {
				v.gone[e.Kind] = map[string]bool{}
			}
			v.gone[e.Kind][e.Content] = true
		}
	}
	for e, err := range stored.Erasures(v.ctx, v.store, "ORDER BY id") {
		if err != nil {
			return err
		}
		if len(one) > 0 && one[0].ID != e.ID {
			judge()
			one = nil
		}
		one = append(one, e)
	}
	judge()
	return nil
}
