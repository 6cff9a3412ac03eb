// Package profile takes profiles of this process while it works: where processor time goes, what memory holds, who waits for what.
//
// It knows nothing of the server. It starts no goroutine that outlives a call, and costs nothing while nobody asks.
package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof" //nolint:gosec // It registers itself with http.DefaultServeMux, which nothing here serves.
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kinds are the profiles that there are, by the names they have in net/http/pprof; "profile" is that of the processors.
var kinds = []string{"profile", "heap", "allocs", "goroutine", "threadcreate", "block", "mutex"}

// The limits of a profile.
const (
	MaxLength = 5 * time.Minute
	maxSize   = 4 << 20 // Bytes, compressed; half of what fits through the bus.
)

// How much of the waiting is looked at while somebody asks for it. It is so little that what is measured is hardly disturbed.
const (
	blockRate     = 10_000 // Nanoseconds of waiting for each sample.
	mutexFraction = 10     // One of so many.
)

// ErrUnknown is the error of a kind that does not exist.
var ErrUnknown = errors.New("no such profile: there are " + strings.Join(kinds, ", "))

// Taker takes profiles. The zero value is ready; there should be one in a process, because what it switches on holds for all of it.
type Taker struct {
	mu      sync.Mutex
	waiting int // Calls under way that need waiting to be looked at.
}

// Take returns a profile in the format of pprof, compressed. With a length it is of that time from now on; without, of the whole life
// of the process (the processors: five seconds). It may be called concurrently, but for the processors.
func (t *Taker) Take(ctx context.Context, kind string, length time.Duration) ([]byte, error) {
	if !slices.Contains(kinds, kind) {
		return nil, ErrUnknown
	}
	if length < 0 || length > MaxLength {
		return nil, fmt.Errorf("want a profile of at most %s", MaxLength)
	}
	if kind == "block" || kind == "mutex" {
		t.look(1)
		defer t.look(-1)
	}
	seconds := int((length + time.Second - 1) / time.Second)
	if kind == "profile" && seconds == 0 {
		seconds = 5
	}
	target := "/debug/pprof/" + kind
	if seconds > 0 {
		target += "?seconds=" + strconv.Itoa(seconds)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	w := &answer{header: make(http.Header), status: http.StatusOK}
	if kind == "profile" {
		pprof.Profile(w, r)
	} else {
		pprof.Handler(kind).ServeHTTP(w, r)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case w.status != http.StatusOK:
		return nil, errors.New(strings.TrimSpace(w.body.String()))
	case w.body.Len() > maxSize:
		return nil, fmt.Errorf("the profile has %d bytes, more than can be handed on", w.body.Len())
	}
	return w.body.Bytes(), nil
}

// look has waiting looked at while somebody needs it.
func (t *Taker) look(more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.waiting
	t.waiting += more
	switch {
	case before == 0:
		runtime.SetBlockProfileRate(blockRate)
		runtime.SetMutexProfileFraction(mutexFraction)
	case t.waiting == 0:
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(0)
	}
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
