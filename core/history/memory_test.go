package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/internal/testenv"
)

func TestConformance(t *testing.T) {
	historytest.Run(t, func(t *testing.T, limits history.Limits) history.Store {
		s := history.NewMemory(history.Options{})
		start(t, s)
		return limited{s, limits}
	})
}

// limited is a store whose limits were set once.
type limited struct {
	*history.Memory
	limits history.Limits
}

func (l limited) Append(ctx context.Context, channel string, pub *core.Publication, _ history.Limits) (core.Position, error) {
	return l.Memory.Append(ctx, channel, pub, l.limits)
}

// What tests ask a store.
var (
	publish  = historytest.Publish
	position = historytest.Position
	read     = historytest.Read
	recovers = historytest.Recovers
)

func TestMain(m *testing.M) { testenv.Main(m) }

var _ history.Store = (*history.Memory)(nil)

var hour = history.Limits{Size: 5, TTL: time.Hour}

func TestLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := history.NewMemory(history.Options{})
		for i, step := range []struct {
			limits history.Limits
			want   []uint64
		}{
			{history.Limits{Size: 3, TTL: time.Hour}, []uint64{6, 7, 8}},
			{history.Limits{Size: 10, TTL: time.Hour}, []uint64{7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
			{history.Limits{Size: 2, TTL: time.Hour}, []uint64{23, 24}},
			{history.Limits{Size: 0, TTL: time.Hour}, nil},
			{history.Limits{Size: 1, TTL: time.Hour}, []uint64{40}},
		} {
			publish(t, s, "a", 8, step.limits)
			if got := read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, step.want) {
				t.Errorf("step %d: kept %v, want %v", i, got, step.want)
			}
		}
		pass(time.Minute)
		publish(t, s, "a", 1, history.Limits{Size: 5, TTL: 30 * time.Second})
		if got := read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, []uint64{41}) {
			t.Errorf("with a shorter time to live %v are kept", got)
		}
	})
}

func TestLoweredLimitFreesMemory(t *testing.T) {
	const size = 1 << 16
	s := history.NewMemory(history.Options{})
	before := heap()
	pub := &core.Publication{}
	for range size {
		if _, err := s.Append(t.Context(), "a", pub, history.Limits{Size: size}); err != nil {
			t.Fatal(err)
		}
	}
	full := heap()
	publish(t, s, "a", 1, history.Limits{Size: 1})
	if after := heap(); after > before+(full-before)/10 {
		t.Errorf("empty %d bytes, full %d, then with one entry %d", before, full, after)
	}
	runtime.KeepAlive(s)
}

func TestExpiry(t *testing.T) {
	for name, run := range map[string]bool{"swept": true, "not swept": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := history.NewMemory(history.Options{})
				if run {
					start(t, s)
				}
				limits := history.Limits{Size: 10, TTL: time.Minute}
				at := publish(t, s, "a", 2, limits)
				pass(40 * time.Second)
				publish(t, s, "a", 1, limits)
				if got := read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, []uint64{1, 2, 3}) {
					t.Errorf("after 40 s %v are kept", got)
				}
				pass(20 * time.Second)
				if got := read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, []uint64{3}) {
					t.Errorf("after 60 s %v are kept", got)
				}
				if got, recovered := recovers(t, s, "a", at); !recovered || !slices.Equal(got, []uint64{3}) {
					t.Errorf("recovered %v, %v", got, recovered)
				}
				pass(time.Hour)
				if got := read(t, s, "a", history.Query{Limit: -1}); got != nil {
					t.Errorf("after an hour %v are kept", got)
				}
				if _, recovered := recovers(t, s, "a", at); recovered {
					t.Error("recovered over an expired publication")
				}
				if now := position(t, s, "a"); now != (core.Position{Offset: 3, Epoch: at.Epoch}) {
					t.Errorf("the position moved to %v", now)
				}
			})
		})
	}
}

// pass lets the time of a synctest bubble pass.
func pass(d time.Duration) { <-time.After(d) }

// start runs the sweeper until the test ends.
func start(t *testing.T, s *history.Memory) {
	t.Helper()
	var wg sync.WaitGroup
	ctx := t.Context() // Ends before the cleanup.
	wg.Go(func() { s.Run(ctx) })
	t.Cleanup(wg.Wait)
}

func TestForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := history.NewMemory(history.Options{})
		start(t, s)
		published := publish(t, s, "published", 3, hour)
		empty := position(t, s, "empty")
		kept := publish(t, s, "kept", 3, history.Limits{Size: 3, TTL: 72 * time.Hour})
		used := publish(t, s, "used", 3, hour)
		for range 25 {
			pass(time.Hour)
			if at := position(t, s, "used"); at != used {
				t.Fatalf("the channel in use moved to %v", at)
			}
		}
		if at := position(t, s, "empty"); at.Epoch == empty.Epoch {
			t.Error("the channel nobody used was not forgotten")
		}
		if _, recovered := recovers(t, s, "published", published); recovered {
			t.Error("recovered in a forgotten channel")
		}
		_, _, err := s.Read(t.Context(), "published", history.Query{Since: &published, Limit: -1})
		if !errors.Is(err, core.ErrUnrecoverablePosition) {
			t.Errorf("reading on in a forgotten channel: %v", err)
		}
		if at := publish(t, s, "published", 1, hour); at.Offset != 1 || at.Epoch == published.Epoch {
			t.Errorf("the forgotten channel goes on at %v", at)
		}
		if at := position(t, s, "kept"); at != kept {
			t.Errorf("the channel with publications moved to %v", at)
		}
	})
}

// A flood of names costs memory until they are forgotten, and not longer.
func TestFloodOfNames(t *testing.T) {
	if testing.Short() {
		t.Skip("a flood takes a moment")
	}
	const names = 200_000
	before := heap()
	synctest.Test(t, func(t *testing.T) {
		s := history.NewMemory(history.Options{MetaTTL: time.Minute})
		start(t, s)
		kept := position(t, s, "kept")
		for i := range names {
			position(t, s, "flood:"+strconv.Itoa(i))
		}
		flooded := heap()
		for range 3 {
			pass(30 * time.Second)
			if at := position(t, s, "kept"); at != kept {
				t.Errorf("the channel in use moved to %v", at)
			}
		}
		after := heap()
		t.Logf("%d bytes per name", (flooded-before)/names)
		if flooded-before > 400*names {
			t.Errorf("%d names take %d bytes", names, flooded-before)
		}
		if after > before+(flooded-before)/10 {
			t.Errorf("before the flood %d bytes, after it %d", before, after)
		}
		runtime.KeepAlive(s)
	})
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestModel compares the store with a list and its obvious operations, over random ones.
func TestModel(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				s := history.NewMemory(history.Options{})
				epoch := position(t, s, "a").Epoch
				var kept []uint64
				var at []time.Time
				var top uint64
				for range 300 {
					switch r.IntN(8) {
					case 0:
						pass(time.Duration(r.IntN(8)) * time.Second)
					case 1:
						if r.IntN(4) == 0 {
							if err := s.Remove(t.Context(), "a"); err != nil {
								t.Fatal(err)
							}
							kept, at = nil, nil
						}
					default:
						limits := history.Limits{Size: 1 + r.IntN(9), TTL: 10 * time.Second}
						publish(t, s, "a", 1, limits)
						top++
						kept, at = append(kept, top), append(at, time.Now())
						for len(kept) > limits.Size {
							kept, at = kept[1:], at[1:]
						}
					}
					for len(kept) > 0 && time.Since(at[0]) >= 10*time.Second {
						kept, at = kept[1:], at[1:]
					}

					since := core.Position{Offset: uint64(r.IntN(int(top) + 2)), Epoch: epoch}
					after := slices.DeleteFunc(slices.Clone(kept), func(o uint64) bool { return o <= since.Offset })
					if got := read(t, s, "a", history.Query{Since: &since, Limit: -1}); !slices.Equal(got, after) {
						t.Fatalf("read %v since %d, want %v", got, since.Offset, after)
					}
					q := history.Query{Since: &since, Limit: r.IntN(5) - 1, Reverse: r.IntN(2) == 0}
					if since.Offset == 0 {
						q.Since = nil
					}
					if got, want := read(t, s, "a", q), naive(kept, q); !slices.Equal(got, want) {
						t.Fatalf("read %v of %v for %+v, want %v", got, kept, q, want)
					}
					complete := since.Offset <= top && uint64(len(after)) == top-since.Offset
					got, recovered := recovers(t, s, "a", since)
					if recovered != complete || complete && !slices.Equal(got, after) {
						t.Fatalf("recovered %v, %v since %d, want %v, %v", got, recovered, since.Offset, after, complete)
					}
				}
			})
		})
	}
}

// naive answers a query from a list of offsets.
func naive(kept []uint64, q history.Query) (found []uint64) {
	for _, offset := range kept {
		if q.Since == nil || q.Reverse && offset < q.Since.Offset || !q.Reverse && offset > q.Since.Offset {
			found = append(found, offset)
		}
	}
	if q.Reverse {
		slices.Reverse(found)
	}
	if q.Limit >= 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found
}

func BenchmarkAppend(b *testing.B) {
	for _, channels := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			s := history.NewMemory(history.Options{})
			names := make([]string, channels)
			for i := range names {
				names[i] = "chat:room-" + strconv.Itoa(i)
			}
			pub := &core.Publication{}
			limits := history.Limits{Size: 100, TTL: time.Hour}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Append(b.Context(), names[i%channels], pub, limits); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkRecover(b *testing.B) {
	for _, missed := range []uint64{0, 10, 100} {
		b.Run(fmt.Sprintf("missed=%d", missed), func(b *testing.B) {
			s := history.NewMemory(history.Options{})
			var at core.Position
			for range 1000 {
				at, _ = s.Append(b.Context(), "a", &core.Publication{}, history.Limits{Size: 100, TTL: time.Hour})
			}
			at.Offset -= missed
			b.ReportAllocs()
			for b.Loop() {
				if _, _, recovered, err := s.Recover(b.Context(), "a", at); !recovered || err != nil {
					b.Fatal(recovered, err)
				}
			}
		})
	}
}
