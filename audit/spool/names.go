package spool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/core/bus"
)

// names are what the spool is called on a bus.
type names struct {
	stream  string // Batches on their way.
	aside   string // Batches that could not be stored.
	bucket  string // Holds the drain's record.
	subject string
	asideTo string
}

func namesOn(b *bus.Bus) names {
	p := b.Prefix()
	return names{stream: p + "_audit", aside: p + "_audit_aside", bucket: p + "_audit_drain", subject: p + ".audit.spool", asideTo: p + ".audit.aside"}
}

// recordKey is the only key in the bucket.
const recordKey = "drain"

// The sizes of the streams, in bytes.
const (
	diskShare    = 4       // The spool takes one part in so many of the bus's disk,
	externalSize = 4 << 30 // or this much, when the bus is not ours.
	leastSize    = 1 << 20
	asideShare   = 8 // The second stream takes one part in so many of the spool's size.
)

// How long JetStream itself knows what it has. That costs memory for every message, and the drain knows it anyway; in the second stream,
// where little comes, nobody else does.
const (
	duplicateWindow = 10 * time.Second
	asideWindow     = 24 * time.Hour
)

// sizeOn returns how large the spool on a bus is, given what was configured.
func sizeOn(b *bus.Bus, configured int64) int64 {
	switch {
	case configured > 0:
		return max(configured, leastSize)
	case b.Disk() > 0:
		return max(b.Disk()/diskShare, leastSize)
	}
	return externalSize
}

// streams returns what the streams shall be.
func (n names) streams(b *bus.Bus, size int64) []natsjs.StreamConfig {
	spool := natsjs.StreamConfig{
		Name: n.stream, Subjects: []string{n.subject}, Description: "ZenConn: audit events on their way to the store",
		Storage: natsjs.FileStorage, Replicas: b.Replicas(), Retention: natsjs.LimitsPolicy, Discard: natsjs.DiscardNew,
		MaxBytes: size, MaxMsgs: -1, Duplicates: duplicateWindow,
	}
	aside := spool
	aside.Name, aside.Subjects, aside.MaxBytes = n.aside, []string{n.asideTo}, max(size/asideShare, leastSize)
	aside.Description = "ZenConn: audit events that could not be stored"
	aside.Duplicates = asideWindow
	return []natsjs.StreamConfig{spool, aside}
}

// part names a message: one part of one batch of one recorder.
type part struct {
	life  string // The recorder.
	batch uint64
	index uint32
}

// String is the form in which a message carries its name.
func (p part) String() string { return fmt.Sprintf("%s/%d/%d", p.life, p.batch, p.index) }

var errName = errors.New("not the name of a batch")

// parsePart reads what String wrote.
func parsePart(name string) (part, error) {
	rest, index, ok := cutLast(name)
	life, batch, ok2 := cutLast(rest)
	i, err := strconv.ParseUint(index, 10, 32)
	n, err2 := strconv.ParseUint(batch, 10, 64)
	if !ok || !ok2 || err != nil || err2 != nil || life == "" {
		return part{}, fmt.Errorf("%w: %.100q", errName, name)
	}
	return part{life, n, uint32(i)}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// after says that p comes after the one with the highest number of its life.
func (p part) after(m mark) bool {
	return p.batch > m.Batch || p.batch == m.Batch && p.index > m.Part
}
