package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/history"
)

const (
	ensureTimeout = 5 * time.Second
	retryPause    = 50 * time.Millisecond // Before another attempt when the bus does not answer.
	underWayPause = 2 * time.Millisecond  // At most, before another attempt when somebody else's is being replicated.
	metaShare     = 8                     // One part in so many of a namespace's disk is for positions.
	readers       = 64                    // Readings at a time, so that their answers do not pile up.
	memory        = 192 << 20             // Bytes for all namespaces in the memory of the embedded bus, which gives out 256 MiB.
	largeRing     = 1000                  // Slots that an append of one among several processes looks at in about a tenth of a millisecond.
)

// space is one namespace.
type space struct {
	// Fixed after construction.
	name    string
	bus     *bus.Bus
	limits  history.Limits
	metaTTL time.Duration
	disk    int64 // Bytes for both streams; 0: an equal share among spaces.
	spaces  int64 // How many there are with this storage.
	storage natsjs.StorageType
	ring    string
	meta    string // Names of the streams.
	ringTo  string
	metaTo  string // Beginnings of their subjects, with the dot.
	log     *slog.Logger
	reading chan struct{}

	// Set by open.
	calls *calls
	group *group

	ready    atomic.Bool // The streams are there, as far as we know.
	ensuring sync.Mutex  // Taken to make them.
	sizes    atomic.Pointer[[]pastSize]
	failure  atomic.Pointer[failure] // Of the last append; nil: it succeeded.

	mu    sync.Mutex // Guards heads.
	heads map[string]*head
}

// failure is an append that did not succeed.
type failure struct {
	at  time.Time
	err error
}

// failureShown is how long a failure is a problem when nothing was tried since.
const failureShown = time.Minute

// note takes down how an append ended.
func (sp *space) note(err error) {
	switch {
	case err != nil:
		sp.failure.Store(&failure{time.Now(), err})
	case sp.failure.Load() != nil:
		sp.failure.Store(nil)
	}
}

// pastSize is a ring size of before, that messages may still lie by.
type pastSize struct {
	size  uint64
	until time.Time // When it was given up.
}

func newSpace(name string, n Namespace, spaces int, o Options) *space {
	prefix := o.Bus.Prefix()
	sp := &space{
		name: name, bus: o.Bus, limits: n.Limits, metaTTL: o.MetaTTL, disk: n.Disk, spaces: int64(spaces),
		ring: prefix + "_h_" + name, meta: prefix + "_m_" + name, ringTo: prefix + ".h." + name + ".", metaTo: prefix + ".m." + name + ".",
		storage: natsjs.FileStorage, log: o.Log.With("namespace", name), reading: make(chan struct{}, readers), heads: map[string]*head{},
	}
	if n.Memory { // Other names, because a stream cannot move from the one to the other.
		sp.storage = natsjs.MemoryStorage
		sp.ring, sp.meta, sp.ringTo, sp.metaTo = prefix+"_v_"+name, prefix+"_vm_"+name, prefix+".v."+name+".", prefix+".vm."+name+"."
	}
	sp.sizes.Store(&[]pastSize{})
	return sp
}

func (sp *space) open() error {
	conn, err := sp.bus.Connect("history " + sp.name)
	if err != nil {
		return err
	}
	if sp.calls, err = newCalls(conn); err != nil {
		return fmt.Errorf("history of %s: %w", sp.name, err)
	}
	sp.group = &group{calls: sp.calls}
	if sp.limits.Size > largeRing && !sp.bus.Alone() {
		sp.log.Warn("with several processes every publication looks at as many others as its channel keeps: so large a history makes publishing slow",
			"history_size", sp.limits.Size, "suggested_at_most", largeRing)
	}
	if !sp.bus.External() {
		ctx, cancel := context.WithTimeout(context.Background(), ensureTimeout)
		defer cancel()
		if err := sp.ensure(ctx); err != nil { // On a full disk, say. The rest of the server shall start all the same.
			sp.note(err)
			sp.log.Error("a history cannot be opened; publications are refused until it can", "error", err)
		}
	}
	return nil
}

// slots matches all slots of a channel.
func (sp *space) slots(token string) string { return sp.ringTo + token + ".*" }

func (sp *space) slot(token string, offset, size uint64) string {
	return sp.ringTo + token + "." + strconv.FormatUint(offset%size, 10)
}

func (sp *space) marker(token string) string { return sp.ringTo + token + ".p" }

// ensure makes the streams if they are not there, and fits them to the configuration.
func (sp *space) ensure(ctx context.Context) error {
	if sp.ready.Load() {
		return nil
	}
	sp.ensuring.Lock()
	defer sp.ensuring.Unlock()
	if sp.ready.Load() {
		return nil
	}
	if !sp.calls.conn.IsConnected() {
		return errUnavailable.because(nats.ErrNoServers)
	}
	js, err := natsjs.New(sp.calls.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	sizes, err := sp.pastSizes(ctx, js)
	if err != nil {
		return sp.asUnavailable(err)
	}
	for _, c := range sp.streams(sizes) {
		if _, err := js.CreateOrUpdateStream(ctx, c); err != nil {
			return sp.asUnavailable(err)
		}
	}
	sp.sizes.Store(&sizes)
	sp.ready.Store(true)
	return nil
}

// asUnavailable tells an error that time may heal from one that it will not.
func (sp *space) asUnavailable(err error) error {
	err = fmt.Errorf("history of %s: %w", sp.name, err)
	if api, ok := errors.AsType[*natsjs.APIError](err); ok && api.ErrorCode != leaderless && api.ErrorCode != notLeader {
		return err
	}
	return errUnavailable.because(err)
}

// streams returns what the namespace's streams shall be.
func (sp *space) streams(sizes []pastSize) []natsjs.StreamConfig {
	disk := sp.disk
	switch {
	case sp.storage == natsjs.MemoryStorage && sp.bus.Disk() == 0: // The bus is not ours.
		disk = 0
	case sp.storage == natsjs.MemoryStorage:
		disk = memory / sp.spaces
	case disk == 0:
		disk = sp.bus.Disk() / sp.spaces
	}
	ring := natsjs.StreamConfig{
		Name: sp.ring, Subjects: []string{sp.ringTo + "*.*"}, Description: "ZenConn: publications of the namespace " + sp.name,
		Storage: sp.storage, Replicas: sp.bus.Replicas(), AllowDirect: true, MaxMsgsPerSubject: 1, MaxAge: sp.limits.TTL,
		// A full stream takes nothing more instead of silently dropping what other channels promise to keep.
		Discard: natsjs.DiscardNew, MaxBytes: -1,
		// Duplicates are found by compare-and-swap. The list that JetStream would keep costs memory for every message.
		Duplicates: min(100*time.Millisecond, sp.limits.TTL),
		Metadata:   map[string]string{sizesKey: formatSizes(sp.limits.Size, sizes)},
	}
	meta := natsjs.StreamConfig{
		Name: sp.meta, Subjects: []string{sp.metaTo + "*"}, Description: "ZenConn: positions of the channels of the namespace " + sp.name,
		Storage: sp.storage, Replicas: sp.bus.Replicas(), AllowDirect: true, MaxMsgsPerSubject: 1, MaxAge: sp.metaTTL + sp.limits.TTL,
		// A flood of names pushes out the oldest positions; who held one is told that he cannot recover.
		Discard: natsjs.DiscardOld, MaxBytes: -1, Duplicates: 100 * time.Millisecond,
	}
	if !sp.bus.Alone() { // Other processes deliver what is stored here, in the order in which it is stored.
		ring.RePublish = &natsjs.RePublish{Source: sp.ringTo + "*.*", Destination: sp.bus.Prefix() + LiveSubjects + "{{wildcard(1)}}"}
	}
	if disk > 0 {
		meta.MaxBytes = max(disk/metaShare, 64<<10)
		ring.MaxBytes = max(disk-meta.MaxBytes, 64<<10)
	}
	return []natsjs.StreamConfig{ring, meta}
}

// sizesKey names, in the stream's metadata, its ring size and those it had before: "100 50@1700000000", the number after the @
// being when the size was given up, in Unix seconds.
const sizesKey = "zenconn-sizes"

func formatSizes(size int, past []pastSize) string {
	sizes := []string{strconv.Itoa(size)}
	for _, p := range past {
		sizes = append(sizes, fmt.Sprintf("%d@%d", p.size, p.until.Unix()))
	}
	return strings.Join(sizes, " ")
}

// pastSizes returns the sizes by which the ring may still hold something.
func (sp *space) pastSizes(ctx context.Context, js natsjs.JetStream) ([]pastSize, error) {
	stream, err := js.Stream(ctx, sp.ring)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		return []pastSize{}, nil
	}
	if err != nil {
		return nil, err
	}
	now, sizes := time.Now(), []pastSize{}
	for i, text := range strings.Fields(stream.CachedInfo().Config.Metadata[sizesKey]) {
		size, until, _ := strings.Cut(text, "@")
		n, err := strconv.ParseUint(size, 10, 32)
		seconds, _ := strconv.ParseInt(until, 10, 64)
		p := pastSize{n, time.Unix(seconds, 0)}
		if i == 0 {
			p.until = now
		}
		// The longer of the old and the new time to live would be right; messages are judged by the new one anyway.
		if err == nil && n > 0 && n != uint64(sp.limits.Size) && now.Sub(p.until) < sp.limits.TTL {
			sizes = append(sizes, p)
		}
	}
	return sizes, nil
}

// attempt does something that needs the streams, and again when somebody else wrote at the same time or while the bus does not answer.
func (sp *space) attempt(ctx context.Context, do func(context.Context) error) error {
	for {
		if problem := sp.bus.Problem(); problem != "" && !sp.bus.External() {
			return errors.New(problem) // It takes seconds to get well: nobody shall wait for that.
		}
		err := sp.ensure(ctx)
		if err == nil {
			err = sp.once(ctx, do)
		}
		pause := retryPause
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, errUnderWay):
			pause = rand.N(underWayPause) //nolint:gosec // Lets one of several go first; nothing to guess.
		case errors.Is(err, errConflict):
			continue
		case !isUnavailable(err):
			return err
		}
		if errors.Is(err, nats.ErrNoResponders) {
			sp.ready.Store(false) // Somebody may have removed the streams.
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// once does something that needs answers from the bus. One that goes down keeps what it was asked to itself: whoever waits for it
// must ask again. The embedded one does not go down alone, and whom it lets wait, on a slow disk, it has not forgotten.
func (sp *space) once(ctx context.Context, do func(context.Context) error) error {
	if sp.bus.Alone() {
		return do(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return do(ctx)
}
