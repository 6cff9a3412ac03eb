package spool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// record is all that the drain must not forget. See the package's comment.
type record struct {
	Leader string          `json:"leader"` // "": nobody.
	Beat   uint64          `json:"beat"`
	Stream int64           `json:"stream"`        // When the stream was made, in Unix nanoseconds. Another stream numbers its messages anew.
	Age    uint64          `json:"age,omitempty"` // Raised when the stream has lost its end: its numbers come again then.
	Done   uint64          `json:"done"`
	First  uint64          `json:"first,omitempty"` // The claim; 0: there is none.
	Last   uint64          `json:"last,omitempty"`
	Lives  map[string]mark `json:"lives"`
}

// mark is the highest number of a recorder's messages up to done.
type mark struct {
	Batch uint64 `json:"batch"`
	Part  uint32 `json:"part"`
	At    int64  `json:"at"` // Unix seconds at which its last message came to the stream.
}

// A life that was silent for so long has ended: if it should come back, what it repeats is stored again. There are at most maxLives, about
// a hundred bytes each in a record that is written several times a second.
const (
	lifeTime = 24 * time.Hour
	maxLives = 2_000
)

// remember notes that a message is stored.
func (r *record) remember(p part, at time.Time) {
	r.Lives[p.life] = mark{p.batch, p.index, at.Unix()}
}

// forget removes the lives that have ended as of a message's time.
func (r *record) forget(now time.Time) {
	maps.DeleteFunc(r.Lives, func(_ string, m mark) bool { return now.Unix()-m.At > int64(lifeTime/time.Second) })
	if len(r.Lives) <= maxLives {
		return
	}
	byAge := slices.SortedFunc(maps.Keys(r.Lives), func(a, b string) int { return cmp.Compare(r.Lives[a].At, r.Lives[b].At) })
	for _, life := range byAge[:len(byAge)-maxLives] {
		delete(r.Lives, life)
	}
}

// errDeposed says that somebody else has changed the record.
var errDeposed = errors.New("another agent drains the audit spool now")

// ledger keeps the record in the bucket. Its changes fail with errDeposed when somebody else made one.
type ledger struct {
	kv natsjs.KeyValue

	mu       sync.Mutex // Guards all below.
	record   record
	revision uint64 // 0: there is none.
}

// recordTimeout bounds one reading or writing of the record.
const recordTimeout = 2 * time.Second

// load reads the record.
func (l *ledger) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	entry, err := l.kv.Get(ctx, recordKey)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		l.record, l.revision = record{Lives: map[string]mark{}}, 0
		return nil
	}
	if err != nil {
		return err
	}
	r := record{}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return fmt.Errorf("the record of the audit drain is damaged: %w", err)
	}
	if r.Lives == nil {
		r.Lives = map[string]mark{}
	}
	l.record, l.revision = r, entry.Revision()
	return nil
}

// now returns the record as it is known. Its lives are not to be changed.
func (l *ledger) now() (record, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record, l.revision
}

// change makes a change, if nobody else has made one since the record was read.
func (l *ledger) change(ctx context.Context, how func(*record)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.record
	next.Beat++
	how(&next)
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	var revision uint64
	if l.revision == 0 {
		revision, err = l.kv.Create(limited, recordKey, value)
	} else {
		revision, err = l.kv.Update(limited, recordKey, value, l.revision)
	}
	if err != nil {
		if revision, err = l.seek(ctx, value, err); err != nil {
			return err
		}
	}
	l.record, l.revision = next, revision
	return nil
}

// seek finds out what became of a change whose answer was an error. It may have been made all the same: then the value is there. Its
// beat and leader make it one of a kind.
func (l *ledger) seek(ctx context.Context, value []byte, failed error) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	entry, err := l.kv.Get(ctx, recordKey)
	switch {
	case errors.Is(err, natsjs.ErrKeyNotFound) && l.revision == 0, err != nil && !errors.Is(err, natsjs.ErrKeyNotFound):
		return 0, failed
	case err != nil: // Somebody has removed it.
		return 0, errDeposed
	case bytes.Equal(entry.Value(), value):
		return entry.Revision(), nil
	case entry.Revision() == l.revision:
		return 0, failed
	}
	return 0, errDeposed
}
