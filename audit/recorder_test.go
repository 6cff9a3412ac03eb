package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// sink keeps what it is given and fails on demand.
type sink struct {
	mu      sync.Mutex
	batches []audit.Batch
	err     error
	tried   []string      // Tokens of every attempt.
	delay   time.Duration // Of each write.
}

func (s *sink) Write(ctx context.Context, b *audit.Batch) error {
	s.mu.Lock()
	s.tried = append(s.tried, b.Token)
	err, delay := s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *b
	c.Messages = append([]*audit.Message(nil), b.Messages...)
	c.Deliveries = append([]*audit.Delivery(nil), b.Deliveries...)
	c.Drops = append([]*audit.Drop(nil), b.Drops...)
	s.batches = append(s.batches, c)
	return nil
}

func (s *sink) Query(context.Context, string) (audit.Rows, error) { return nil, errors.ErrUnsupported }
func (s *sink) Close() error                                      { return nil }

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) sizes() (sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		sizes = append(sizes, b.Len())
	}
	return sizes
}

func (s *sink) attempts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tried...)
}

// record starts a recorder in a bubble of its own and hands it to test; afterwards it ends it and checks that the counts add up.
func record(t *testing.T, s audit.Writer, o audit.Options, test func(t *testing.T, r *audit.Recorder, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Log == nil {
			o.Log = slog.New(slog.DiscardHandler)
		}
		r := audit.New(s, o)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		stop := func() {
			cancel()
			running.Wait()
		}
		defer stop()
		test(t, r, stop)
		stop()
		checkSum(t, r.Stats())
		if q := r.Stats(); q.Queued != 0 || q.QueuedBytes != 0 {
			t.Errorf("after the end %d events and %d bytes are still queued", q.Queued, q.QueuedBytes)
		}
	})
}

// pass lets the time of the bubble pass.
func pass(d time.Duration) { <-time.After(d) }

func checkSum(t *testing.T, s audit.Stats) {
	t.Helper()
	sum := s.Stored + s.Redacted + uint64(s.Queued)
	for _, n := range s.Dropped {
		sum += n
	}
	if sum != s.Recorded || s.Queued < 0 {
		t.Errorf("recorded %d, but stored %d + redacted %d + dropped %v + queued %d = %d", s.Recorded, s.Stored, s.Redacted, s.Dropped, s.Queued, sum)
	}
}

func add(r *audit.Recorder, n int) {
	for range n {
		r.Record(&audit.Message{Payload: []byte("0123456789")})
	}
}

func TestBatchesBySizeAndTime(t *testing.T) {
	s := &sink{}
	record(t, s, audit.Options{BatchEvents: 10, FlushInterval: time.Second}, func(t *testing.T, r *audit.Recorder, _ func()) {
		add(r, 9)
		synctest.Wait()
		if got := s.sizes(); got != nil {
			t.Fatalf("wrote %v before the batch was full or the interval over", got)
		}
		add(r, 1)
		synctest.Wait()
		if got := s.sizes(); !reflect.DeepEqual(got, []int{10}) {
			t.Fatalf("a full batch is written at once; got batches of %v", got)
		}
		add(r, 3)
		pass(time.Second)
		synctest.Wait()
		if got := s.sizes(); !reflect.DeepEqual(got, []int{10, 3}) {
			t.Fatalf("the rest is written after the interval; got batches of %v", got)
		}
		if st := r.Stats(); st.Stored != 13 || st.Queued != 0 || st.LastSuccess.IsZero() || st.LastError != nil {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestEveryKindReachesItsTable(t *testing.T) {
	s := &sink{}
	record(t, s, audit.Options{}, func(t *testing.T, r *audit.Recorder, stop func()) {
		for _, e := range []audit.Event{&audit.Session{}, &audit.Action{Request: "x"}, &audit.Message{}, &audit.Decision{}, &audit.Session{}} {
			r.Record(e)
		}
		stop()
		b := s.batches[0]
		if len(b.Messages) != 1 || len(b.Sessions) != 2 || len(b.Decisions) != 1 || len(b.Actions) != 1 {
			t.Errorf("got %d messages, %d sessions, %d decisions, %d actions", len(b.Messages), len(b.Sessions), len(b.Decisions), len(b.Actions))
		}
	})
}

func TestFullQueueDropsTheNewest(t *testing.T) {
	for _, test := range []struct {
		name    string
		options audit.Options
	}{
		{"by events", audit.Options{Queue: 20, BatchEvents: 5}},
		{"by bytes", audit.Options{QueueBytes: 209, BatchEvents: 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sink{err: errors.New("down")}
			record(t, s, test.options, func(t *testing.T, r *audit.Recorder, stop func()) {
				add(r, 15)
				synctest.Wait() // The first batch is being written: it counts.
				add(r, 10)
				const room = 20 // Payloads of 10 bytes fit 209 bytes.
				st := r.Stats()
				if st.Queued != room || st.Dropped[audit.DropQueueFull] != uint64(25-room) {
					t.Fatalf("queued %d, dropped %v, want %d queued", st.Queued, st.Dropped, room)
				}
				checkSum(t, st)
				s.fail(nil)
				pass(time.Minute)
				if st := r.Stats(); st.Stored != uint64(room) || st.LastError != nil {
					t.Fatalf("stored %d of %d after the store came back, last error %v", st.Stored, room, st.LastError)
				}
				add(r, 20)
				stop()
				if st := r.Stats(); st.Stored != uint64(room+20) {
					t.Errorf("stored %d: the room was not given back", st.Stored)
				}
			})
		})
	}
}

func TestFailedBatchIsRetriedUnderItsToken(t *testing.T) {
	s := &sink{err: errors.New("down")}
	o := audit.Options{Node: "n1", Epoch: 7, BatchEvents: 2}
	record(t, s, o, func(t *testing.T, r *audit.Recorder, _ func()) {
		add(r, 4)
		pass(3 * time.Second)
		failed := s.attempts()
		if len(failed) < 4 || len(failed) > 10 {
			t.Errorf("%d attempts in 3 s, want some, further and further apart", len(failed))
		}
		if st := r.Stats(); st.LastError == nil || st.LastErrorAt.IsZero() {
			t.Errorf("the error is not in the stats: %+v", st)
		}
		s.fail(nil)
		pass(10 * time.Second)
		first := failed[0]
		if !regexp.MustCompile(`^n1/7-[0-9a-f-]{36}/1$`).MatchString(first) {
			t.Errorf("the first batch has the token %q", first)
		}
		for i, token := range s.attempts() {
			want := first
			if i > len(failed) {
				want = strings.TrimSuffix(first, "1") + "2"
			}
			if token != want {
				t.Errorf("attempt %d has token %q, want %q", i, token, want)
			}
		}
		if got := s.sizes(); !reflect.DeepEqual(got, []int{2, 2}) {
			t.Errorf("stored batches of %v", got)
		}
	})
}

func TestTokensOfTwoLivesDiffer(t *testing.T) {
	var tokens []string
	for range 2 { // A server that is started again within the same second.
		s := &sink{}
		record(t, s, audit.Options{Node: "n1", Epoch: 7}, func(_ *testing.T, r *audit.Recorder, _ func()) { add(r, 1) })
		tokens = append(tokens, s.attempts()...)
	}
	if len(tokens) != 2 || tokens[0] == tokens[1] {
		t.Errorf("tokens %q: a store would take the second batch for the first", tokens)
	}
}

func TestRefusedBatchDoesNotStopTheOthers(t *testing.T) {
	s := &sink{err: fmt.Errorf("%w: too strange", audit.ErrRefused)}
	record(t, s, audit.Options{BatchEvents: 5}, func(t *testing.T, r *audit.Recorder, _ func()) {
		add(r, 5)
		synctest.Wait()
		s.fail(nil)
		add(r, 5)
		synctest.Wait()
		if st := r.Stats(); st.Dropped[audit.DropRefused] != 5 || st.Stored != 5 || len(s.attempts()) != 2 {
			t.Errorf("dropped %v, stored %d in %d attempts; want 5 refused without a second attempt and 5 stored", st.Dropped, st.Stored, len(s.attempts()))
		}
	})
}

func TestHangingStoreIsGivenUpOn(t *testing.T) {
	s := &sink{delay: time.Hour}
	record(t, s, audit.Options{BatchEvents: 1, WriteTimeout: time.Second}, func(t *testing.T, r *audit.Recorder, _ func()) {
		add(r, 1)
		pass(5 * time.Second)
		if st := r.Stats(); !errors.Is(st.LastError, context.DeadlineExceeded) || len(s.attempts()) < 2 {
			t.Errorf("after %d attempts the last error is %v", len(s.attempts()), st.LastError)
		}
	})
}

func TestEndStoresWhatWaits(t *testing.T) {
	s := &sink{delay: 100 * time.Millisecond}
	record(t, s, audit.Options{BatchEvents: 10, FlushInterval: time.Hour}, func(t *testing.T, r *audit.Recorder, stop func()) {
		add(r, 35)
		stop()
		add(r, 2)
		if st := r.Stats(); st.Stored != 35 || st.Dropped[audit.DropShutdown] != 2 {
			t.Errorf("stored %d, dropped %v; want all 35 stored and the 2 late ones dropped", st.Stored, st.Dropped)
		}
	})
}

func TestEndHasADeadline(t *testing.T) {
	for _, test := range []struct {
		name string
		sink *sink
	}{
		{"failing store", &sink{err: errors.New("down")}},
		{"hanging store", &sink{delay: time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			record(t, test.sink, audit.Options{BatchEvents: 10, DrainTimeout: 3 * time.Second}, func(t *testing.T, r *audit.Recorder, stop func()) {
				add(r, 25)
				begin := time.Now()
				stop()
				if took := time.Since(begin); took < 3*time.Second || took > 4*time.Second {
					t.Errorf("Run returned after %v, want the drain timeout", took)
				}
				if st := r.Stats(); st.Dropped[audit.DropShutdown] != 25 {
					t.Errorf("dropped %v, want 25 by shutdown", st.Dropped)
				}
			})
		})
	}
}

func TestLogIsQuietAndComplete(t *testing.T) {
	var log bytes.Buffer
	s := &sink{err: errors.New("the disk is gone")}
	o := audit.Options{Queue: 10, BatchEvents: 5, Log: slog.New(slog.NewTextHandler(&log, nil))}
	record(t, s, o, func(t *testing.T, r *audit.Recorder, stop func()) {
		for range 60 {
			add(r, 100)
			pass(time.Second)
		}
		s.fail(nil)
		pass(10 * time.Second)
		stop()
	})
	text := log.String()
	failing, lost := strings.Count(text, "the disk is gone"), strings.Count(text, "audit events were dropped")
	if failing < 2 || failing > 7 || lost < 2 || lost > 8 {
		t.Errorf("a minute of trouble made %d and %d lines, want a few:\n%s", failing, lost, text)
	}
	if !strings.Contains(text, "works again") || !strings.Contains(text, "total=5990") {
		t.Errorf("the end of the trouble or the full count is missing:\n%s", text)
	}
}

func TestWithoutSinkRecordingIsOff(t *testing.T) {
	record(t, nil, audit.Options{}, func(t *testing.T, r *audit.Recorder, _ func()) {
		add(r, 10)
		if st := r.Stats(); st.Recorded != 0 {
			t.Errorf("recorded %d", st.Recorded)
		}
	})
}

func TestManyProducers(t *testing.T) {
	s := &sink{}
	r := audit.New(s, audit.Options{Queue: 1000, BatchEvents: 100, FlushInterval: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	var running, producers sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	for range 8 {
		producers.Go(func() { add(r, 5000) })
	}
	for range 100 {
		checkSum(t, r.Stats())
	}
	producers.Wait()
	cancel()
	running.Wait()
	st := r.Stats()
	checkSum(t, st)
	if st.Recorded != 40_000 || st.Stored == 0 {
		t.Errorf("recorded %d, stored %d", st.Recorded, st.Stored)
	}
	total := 0
	for _, n := range s.sizes() {
		total += n
	}
	if uint64(total) != st.Stored {
		t.Errorf("the sink has %d, the stats say %d", total, st.Stored)
	}
}

func TestRecordAllocates(t *testing.T) {
	s := &sink{err: errors.New("down")}
	r := audit.New(s, audit.Options{Queue: 2000})
	m := &audit.Message{Payload: make([]byte, 200)}
	if n := testing.AllocsPerRun(10_000, func() { r.Record(m) }); n > 0.01 {
		t.Errorf("Record makes %v allocations", n)
	}
}

// What is hastened does not wait for the interval.
func TestHasten(t *testing.T) {
	s := &sink{}
	record(t, s, audit.Options{FlushInterval: time.Hour}, func(t *testing.T, r *audit.Recorder, _ func()) {
		r.Record(&audit.Session{})
		synctest.Wait()
		if sizes := s.sizes(); len(sizes) > 0 {
			t.Errorf("%v were stored before anybody was in a hurry", sizes)
		}
		r.Hasten()
		pass(time.Second)
		if sizes := s.sizes(); r.Stats().Stored != 1 {
			t.Errorf("%d were stored, in batches of %v", r.Stats().Stored, sizes)
		}
	})
}
