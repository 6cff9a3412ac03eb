package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// sandbox is an instance that remembers what happened to it.
type sandbox struct {
	broken bool
	closed *atomic.Int32
}

func (s *sandbox) Broken() bool { return s.broken }
func (s *sandbox) Close()       { s.closed.Add(1) }

// maker makes sandboxes, after a second.
type maker struct {
	made, closed atomic.Int32
	fail         error
	panics       bool
}

func (m *maker) create() (*sandbox, error) {
	<-time.After(time.Second)
	if m.panics {
		panic("oops")
	}
	if m.fail != nil {
		return nil, m.fail
	}
	m.made.Add(1)
	return &sandbox{closed: &m.closed}, nil
}

func (m *maker) pool(t *testing.T, size int) *host.Pool[*sandbox] {
	first, err := m.create()
	if err != nil {
		t.Fatal(err)
	}
	return host.NewPool(size, first, m.create)
}

func take(t *testing.T, p *host.Pool[*sandbox], within time.Duration) (*sandbox, error) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return p.Take(ctx)
}

func TestPoolIsBoundedAndReuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := m.pool(t, 2)
		one, _ := take(t, p, time.Minute)
		two, err := take(t, p, time.Minute)
		if err != nil || one == two {
			t.Fatal(one, two, err)
		}
		if _, err := take(t, p, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third: %v", err)
		}
		p.Put(one)
		p.Put(two)
		if last, _ := take(t, p, time.Minute); last != two {
			t.Error("the one that was used last is not the first to be used again")
		}
		p.Put(two)
		if m.made.Load() != 2 || p.Made() != 2 {
			t.Errorf("%d made, %d counted", m.made.Load(), p.Made())
		}
		p.Close()
		if m.closed.Load() != 2 {
			t.Errorf("%d closed", m.closed.Load())
		}
		if _, err := take(t, p, time.Minute); !errors.Is(err, host.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestPoolHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := m.pool(t, 1)
		one, _ := take(t, p, time.Minute)
		got := make(chan *sandbox)
		go func() {
			next, _ := take(t, p, time.Minute)
			got <- next
		}()
		synctest.Wait()
		p.Put(one)
		if <-got != one {
			t.Error("the one that waits does not get what was given back")
		}
		one.broken = true
		go func() {
			next, _ := take(t, p, time.Minute)
			got <- next
		}()
		synctest.Wait()
		p.Put(one)
		next := <-got
		if next == nil || next == one || m.closed.Load() != 1 {
			t.Errorf("after a broken one: %v, %d closed", next, m.closed.Load())
		}
		p.Put(next)
		p.Close()
	})
}

// Making an instance takes a second: who cannot wait gets the deadline, and the next caller the instance.
func TestPoolHonoursTheDeadlineWhileItMakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := m.pool(t, 2)
		one, _ := take(t, p, time.Minute)
		if _, err := take(t, p, 10*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		two, err := take(t, p, time.Minute)
		if err != nil || m.made.Load() != 2 {
			t.Errorf("%v, %d made", err, m.made.Load())
		}
		p.Put(one)
		p.Put(two)
		p.Close()
	})
}

func TestPoolReportsWhatCannotBeMade(t *testing.T) {
	for name, want := range map[string]string{"error": "no memory", "panic": "panic while an instance was made: oops"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &maker{}
				p := m.pool(t, 2)
				one, _ := take(t, p, time.Minute)
				m.fail, m.panics = errors.New("no memory"), name == "panic"
				errs := make(chan error, 2)
				for range cap(errs) {
					go func() {
						_, err := take(t, p, time.Minute)
						errs <- err
					}()
				}
				for range cap(errs) { // Both: the second is not left to wait for nothing.
					if err := <-errs; err == nil || err.Error() != want {
						t.Errorf("error %v, want %s", err, want)
					}
				}
				p.Put(one)
				p.Close()
			})
		})
	}
}

func TestPoolCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := m.pool(t, 1)
		one, _ := take(t, p, time.Minute)
		waiter, closed := make(chan error, 1), make(chan struct{})
		go func() {
			_, err := take(t, p, time.Minute)
			waiter <- err
		}()
		synctest.Wait()
		go func() {
			p.Close()
			close(closed)
		}()
		if err := <-waiter; !errors.Is(err, host.ErrClosed) {
			t.Errorf("who waits gets %v", err)
		}
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed while an instance is in use")
		default:
		}
		p.Put(one)
		<-closed
		p.Close()
		if m.closed.Load() != 1 {
			t.Errorf("%d closed", m.closed.Load())
		}
	})
}

func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := host.NewLog(slog.New(slog.NewTextHandler(&out, nil)), "p")
		for range 150 {
			log.Write(slog.LevelInfo, "again")
		}
		if n := strings.Count(out.String(), "msg=again plugin=p"); n != 100 {
			t.Errorf("%d lines", n)
		}
		<-time.After(time.Second)
		out.Reset()
		log.Write(slog.LevelWarn, "long "+strings.Repeat("x", 10_000)+"\xff")
		if s := out.String(); !strings.Contains(s, "suppressed=50") || len(s) > 4500 || !strings.Contains(s, "…") {
			t.Errorf("%d bytes: %.200s", len(s), s)
		}
		host.NewLog(nil, "p").Write(slog.LevelInfo, "nowhere")
	})
}

// textLogger writes to out.
func textLogger(out io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(out, nil)) }
