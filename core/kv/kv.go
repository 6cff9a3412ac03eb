// Package kv keeps what plugins store, on the bus: durable, and the same on every node. It knows keys and values, and nothing of who the
// plugins are or what they may do. It has no goroutines of its own.
//
// All keys are in one stream, each on a subject of its own whose last message is its value: writing a key is a message to its
// subject, compare-and-swap an expected last sequence, and reading it one direct get. What is deleted is covered by an empty
// message, which leaves by itself.
package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/hooks/host"
)

// Options are what a store is made of.
type Options struct {
	Bus *bus.Bus // Open before the store is.
	Log *slog.Logger
}

// Store implements host.KV. Reads may be a moment behind the writes of other nodes when an external bus keeps several copies: what
// must not be is what Swap is for.
type Store struct {
	options  Options
	conn     *nats.Conn
	js       natsjs.JetStream
	ensuring chan struct{} // Holds one while somebody makes the stream.
	stream   atomic.Pointer[natsjs.Stream]
}

// The limits of the stream.
const (
	maxDisk       = 1 << 30 // Bytes, of the embedded bus's disk, or a share of what that may take.
	diskShare     = 16
	maxKeys       = 2_000_000 // Each takes a little memory in the bus.
	ensureTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second // For who has no deadline.
	deletedFor    = time.Minute      // How long a deleted key covers what was there before.
	expiresHeader = "Zc-Expires"
	deletedHeader = "Zc-Deleted"
)

// Errors of JetStream that mean something here.
const (
	wrongLastSequence = 10071
	storeFailed       = 10077 // One of the stream's limits.
)

// New makes a store.
func New(o Options) *Store { return &Store{options: o, ensuring: make(chan struct{}, 1)} }

// Open connects. A bus that does not answer, or a full disk, is no error: the store then fails until that is over.
func (s *Store) Open(ctx context.Context) error {
	var err error
	if s.conn, err = s.options.Bus.Connect("plugins"); err != nil {
		return err
	}
	if s.js, err = natsjs.New(s.conn, natsjs.WithDefaultTimeout(answerTimeout)); err != nil {
		return fmt.Errorf("kv: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	if _, err := s.ensure(ctx); err != nil {
		s.options.Log.Warn("what plugins store cannot be opened; they are told so until it can", "error", err)
	}
	return nil
}

// ensure returns the stream, and makes it if need be.
func (s *Store) ensure(ctx context.Context) (natsjs.Stream, error) {
	if stream := s.stream.Load(); stream != nil {
		return *stream, nil
	}
	select {
	case s.ensuring <- struct{}{}:
		defer func() { <-s.ensuring }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if stream := s.stream.Load(); stream != nil {
		return *stream, nil
	}
	if !s.conn.IsConnected() {
		return nil, nats.ErrNoServers
	}
	c := natsjs.StreamConfig{
		Name: s.options.Bus.Prefix() + "_kv", Subjects: []string{s.subject("*", "*")}, Description: "ZenConn: what plugins store",
		Storage: natsjs.FileStorage, Replicas: s.options.Bus.Replicas(), AllowDirect: true, AllowMsgTTL: true, MaxMsgsPerSubject: 1,
		// A full stream takes nothing more instead of forgetting what others have stored.
		Discard: natsjs.DiscardNew, MaxMsgs: maxKeys, MaxBytes: -1, Duplicates: 100 * time.Millisecond,
	}
	if disk := s.options.Bus.Disk(); disk > 0 {
		c.MaxBytes = min(maxDisk, disk/diskShare)
	}
	stream, err := s.js.CreateOrUpdateStream(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("kv: %w", err)
	}
	s.stream.Store(&stream)
	return stream, nil
}

func (s *Store) subject(plugin, key string) string {
	return s.options.Bus.Prefix() + ".kv." + plugin + "." + key
}

// of returns the subject of a plugin's key. Both become one token, so that nobody reaches what is another plugin's.
func (s *Store) of(plugin, key string) (string, error) {
	p, err := bus.Token(plugin)
	if err != nil {
		return "", fmt.Errorf("kv: plugin: %w", err)
	}
	k, err := bus.Token(key)
	if err != nil {
		return "", fmt.Errorf("kv: key: %w", err)
	}
	return s.subject(p, k), nil
}

// Get implements host.KV.
func (s *Store) Get(ctx context.Context, plugin, key string) (value []byte, revision uint64, err error) {
	subject, err := s.of(plugin, key)
	if err != nil {
		return nil, 0, err
	}
	value, revision, there, err := s.last(ctx, subject)
	if err != nil || !there {
		return nil, 0, err
	}
	return value, revision, nil
}

// last returns the last message of a key. It has a revision, but is not there, when it was deleted or its time is over.
func (s *Store) last(ctx context.Context, subject string) (value []byte, revision uint64, there bool, err error) {
	stream, err := s.ensure(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, s.failed(err)
	}
	expires := m.Header.Get(expiresHeader)
	at, _ := strconv.ParseInt(expires, 10, 64) // Only this store writes them.
	there = m.Header.Get(deletedHeader) == "" && (expires == "" || time.Now().UnixMilli() < at)
	return m.Data, m.Sequence, there, nil
}

// Set implements host.KV.
func (s *Store) Set(ctx context.Context, plugin, key string, value []byte, ttl time.Duration) (revision uint64, err error) {
	subject, err := s.of(plugin, key)
	if err != nil {
		return 0, err
	}
	return s.write(ctx, entry(subject, value, ttl), keptFor(ttl)...)
}

// Swap implements host.KV.
func (s *Store) Swap(ctx context.Context, plugin, key string, value []byte, ttl time.Duration, revision uint64) (next uint64, err error) {
	subject, err := s.of(plugin, key)
	if err != nil {
		return 0, err
	}
	expected := revision
	for {
		next, err = s.write(ctx, entry(subject, value, ttl), append(keptFor(ttl), natsjs.WithExpectLastSequencePerSubject(expected))...)
		if api, ok := errors.AsType[*natsjs.APIError](err); !ok || api.ErrorCode != wrongLastSequence {
			return next, err
		}
		if revision != 0 {
			return 0, nil
		}
		// There may be a message all the same, of a value that was deleted or whose time is over.
		_, covered, there, err := s.last(ctx, subject)
		if err != nil || there || covered <= expected {
			return 0, err
		}
		expected = covered
	}
}

// Delete implements host.KV.
func (s *Store) Delete(ctx context.Context, plugin, key string) error {
	subject, err := s.of(plugin, key)
	if err != nil {
		return err
	}
	m := entry(subject, nil, 0)
	m.Header.Set(deletedHeader, "1")
	_, err = s.write(ctx, m, natsjs.WithMsgTTL(deletedFor))
	return err
}

func entry(subject string, value []byte, ttl time.Duration) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: value, Header: nats.Header{}}
	if ttl > 0 {
		m.Header.Set(expiresHeader, strconv.FormatInt(time.Now().Add(ttl).UnixMilli(), 10))
	}
	return m
}

// keptFor has the bus forget a value some time after it has expired: it counts whole seconds, and clocks differ.
func keptFor(ttl time.Duration) []natsjs.PublishOpt {
	if ttl == 0 {
		return nil
	}
	return []natsjs.PublishOpt{natsjs.WithMsgTTL(ttl.Truncate(time.Second) + 5*time.Second)}
}

// write sends a message and returns the sequence it got.
func (s *Store) write(ctx context.Context, m *nats.Msg, options ...natsjs.PublishOpt) (revision uint64, err error) {
	if _, err := s.ensure(ctx); err != nil {
		return 0, err
	}
	ack, err := s.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, s.failed(err)
	}
	return ack.Sequence, nil
}

// failed says what an error means. A stream that somebody has removed is made again by the next call.
func (s *Store) failed(err error) error {
	if errors.Is(err, natsjs.ErrStreamNotFound) || errors.Is(err, natsjs.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		s.stream.Store(nil)
	}
	if api, ok := errors.AsType[*natsjs.APIError](err); ok && api.ErrorCode == storeFailed {
		return host.Failure("the store is full")
	}
	return fmt.Errorf("kv: %w", err)
}

var _ host.KV = (*Store)(nil)
