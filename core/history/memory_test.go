package history_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ history.Store = (*history.Memory)(nil)

var hour = history.Limits{Size: 5, TTL: time.Hour}

// publish appends n publications and returns the position of the last.
func publish(t *testing.T, s history.Store, channel string, n int, limits history.Limits) (at core.Position) {
	t.Helper()
	for range n {
		pub := &core.Publication{Channel: channel, Data: []byte(`{}`)}
		var err error
		if at, err = s.Append(t.Context(), channel, pub, limits); err != nil {
			t.Fatal(err)
		}
		if pub.Offset != at.Offset {
			t.Fatalf("the publication has offset %d, the position says %d", pub.Offset, at.Offset)
		}
	}
	return at
}

func position(t *testing.T, s history.Store, channel string) core.Position {
	t.Helper()
	at, err := s.Position(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func read(t *testing.T, s history.Store, channel string, q history.Query) []uint64 {
	t.Helper()
	pubs, _, err := s.Read(t.Context(), channel, q)
	if err != nil {
		t.Fatal(err)
	}
	return offsets(pubs)
}

func recovers(t *testing.T, s history.Store, channel string, since core.Position) ([]uint64, bool) {
	t.Helper()
	missed, at, recovered, err := s.Recover(t.Context(), channel, since)
	if err != nil {
		t.Fatal(err)
	}
	if now := position(t, s, channel); at != now {
		t.Errorf("Recover says the position is %v, it is %v", at, now)
	}
	if !recovered && len(missed) > 0 {
		t.Errorf("not recovered, and yet %d publications", len(missed))
	}
	return offsets(missed), recovered
}

func offsets(pubs []*core.Publication) (offsets []uint64) {
	for _, pub := range pubs {
		offsets = append(offsets, pub.Offset)
	}
	return offsets
}

func TestOffsetsAndEpoch(t *testing.T) {
	s := history.NewMemory(history.Options{})
	first := position(t, s, "a")
	if first.Offset != 0 || len(first.Epoch) != 8 {
		t.Fatalf("a channel nobody published to is at %v", first)
	}
	if again := position(t, s, "a"); again != first {
		t.Errorf("then at %v, before at %v", again, first)
	}
	for want := uint64(1); want < 20; want++ {
		if at := publish(t, s, "a", 1, hour); at != (core.Position{Offset: want, Epoch: first.Epoch}) {
			t.Fatalf("publication %d is at %v", want, at)
		}
	}
	if at := position(t, s, "b"); at.Offset != 0 || at.Epoch == first.Epoch {
		t.Errorf("another channel is at %v", at)
	}
	if at := position(t, history.NewMemory(history.Options{}), "a"); at.Epoch == first.Epoch {
		t.Errorf("another store has the same epoch")
	}
}

func TestRead(t *testing.T) {
	s := history.NewMemory(history.Options{})
	epoch := publish(t, s, "a", 12, hour).Epoch // 8 to 12 are kept.
	since := func(offset uint64) *core.Position { return &core.Position{Offset: offset, Epoch: epoch} }
	for name, test := range map[string]struct {
		query history.Query
		want  []uint64
	}{
		"all":                        {history.Query{Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"only the position":          {history.Query{}, nil},
		"the first":                  {history.Query{Limit: 2}, []uint64{8, 9}},
		"more than there are":        {history.Query{Limit: 99}, []uint64{8, 9, 10, 11, 12}},
		"the newest first":           {history.Query{Limit: -1, Reverse: true}, []uint64{12, 11, 10, 9, 8}},
		"the newest":                 {history.Query{Limit: 1, Reverse: true}, []uint64{12}},
		"since":                      {history.Query{Since: since(10), Limit: -1}, []uint64{11, 12}},
		"since, limited":             {history.Query{Since: since(8), Limit: 2}, []uint64{9, 10}},
		"since, only the position":   {history.Query{Since: since(8)}, nil},
		"since any epoch":            {history.Query{Since: &core.Position{Offset: 11}, Limit: -1}, []uint64{12}},
		"since the last":             {history.Query{Since: since(12), Limit: -1}, nil},
		"since what is gone":         {history.Query{Since: since(3), Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"since the last that went":   {history.Query{Since: since(7), Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"since the beginning":        {history.Query{Since: since(0), Limit: 1}, []uint64{8}},
		"since the future":           {history.Query{Since: since(13), Limit: -1}, nil},
		"since the end of time":      {history.Query{Since: since(math.MaxUint64), Limit: -1}, nil},
		"before":                     {history.Query{Since: since(10), Limit: -1, Reverse: true}, []uint64{9, 8}},
		"before, limited":            {history.Query{Since: since(12), Limit: 2, Reverse: true}, []uint64{11, 10}},
		"before the first kept":      {history.Query{Since: since(8), Limit: -1, Reverse: true}, nil},
		"before what is gone":        {history.Query{Since: since(2), Limit: -1, Reverse: true}, nil},
		"before the next":            {history.Query{Since: since(13), Limit: 1, Reverse: true}, []uint64{12}},
		"before the end of time":     {history.Query{Since: since(math.MaxUint64), Limit: 1, Reverse: true}, []uint64{12}},
		"since the last, backwards":  {history.Query{Since: since(12), Limit: 1, Reverse: true}, []uint64{11}},
		"before, only the position":  {history.Query{Since: since(12), Reverse: true}, nil},
		"a very negative limit: all": {history.Query{Limit: math.MinInt32}, []uint64{8, 9, 10, 11, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			pubs, at, err := s.Read(t.Context(), "a", test.query)
			if err != nil || at != *since(12) {
				t.Fatalf("at %v: %v", at, err)
			}
			if got := offsets(pubs); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	s := history.NewMemory(history.Options{})
	at := publish(t, s, "a", 2, hour)
	for name, test := range map[string]struct {
		query history.Query
		want  error
	}{
		"another epoch":             {history.Query{Since: &core.Position{Offset: 1, Epoch: "other"}, Limit: -1}, core.ErrUnrecoverablePosition},
		"another epoch, backwards":  {history.Query{Since: &core.Position{Epoch: "other"}, Reverse: true}, core.ErrUnrecoverablePosition},
		"another epoch, no entries": {history.Query{Since: &core.Position{Epoch: "other"}}, core.ErrUnrecoverablePosition},
		"before the beginning":      {history.Query{Since: &core.Position{Epoch: at.Epoch}, Limit: 1, Reverse: true}, core.ErrBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			pubs, now, err := s.Read(t.Context(), "a", test.query)
			if !errors.Is(err, test.want) || pubs != nil || now != at {
				t.Errorf("got %v at %v: %v", pubs, now, err)
			}
		})
	}
}

func TestRecover(t *testing.T) {
	s := history.NewMemory(history.Options{})
	epoch := publish(t, s, "a", 12, hour).Epoch // 8 to 12 are kept.
	for name, test := range map[string]struct {
		since     core.Position
		want      []uint64
		recovered bool
	}{
		"nothing missed":          {core.Position{Offset: 12, Epoch: epoch}, nil, true},
		"some missed":             {core.Position{Offset: 9, Epoch: epoch}, []uint64{10, 11, 12}, true},
		"all that is kept missed": {core.Position{Offset: 7, Epoch: epoch}, []uint64{8, 9, 10, 11, 12}, true},
		"one more missed":         {core.Position{Offset: 6, Epoch: epoch}, nil, false},
		"from the beginning":      {core.Position{Offset: 0, Epoch: epoch}, nil, false},
		"from the future":         {core.Position{Offset: 13, Epoch: epoch}, nil, false},
		"from the end of time":    {core.Position{Offset: math.MaxUint64, Epoch: epoch}, nil, false},
		"another epoch":           {core.Position{Offset: 12, Epoch: "other"}, nil, false},
		"no epoch":                {core.Position{Offset: 12}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, recovered := recovers(t, s, "a", test.since)
			if !slices.Equal(got, test.want) || recovered != test.recovered {
				t.Errorf("got %v, %v", got, recovered)
			}
		})
	}
	t.Run("a channel nobody published to", func(t *testing.T) {
		if got, recovered := recovers(t, s, "b", position(t, s, "b")); got != nil || !recovered {
			t.Errorf("got %v, %v", got, recovered)
		}
	})
	t.Run("from before the first publication", func(t *testing.T) {
		before := position(t, s, "c")
		publish(t, s, "c", 2, hour)
		if got, recovered := recovers(t, s, "c", before); !slices.Equal(got, []uint64{1, 2}) || !recovered {
			t.Errorf("got %v, %v", got, recovered)
		}
	})
}

func TestRemove(t *testing.T) {
	s := history.NewMemory(history.Options{})
	at := publish(t, s, "a", 3, hour)
	if err := errors.Join(s.Remove(t.Context(), "a"), s.Remove(t.Context(), "never seen")); err != nil {
		t.Fatal(err)
	}
	if now := position(t, s, "a"); now != at {
		t.Errorf("moved from %v to %v", at, now)
	}
	if got := read(t, s, "a", history.Query{Limit: -1}); got != nil {
		t.Errorf("kept %v", got)
	}
	if _, recovered := recovers(t, s, "a", core.Position{Offset: 2, Epoch: at.Epoch}); recovered {
		t.Error("recovered what was removed")
	}
	if _, recovered := recovers(t, s, "a", at); !recovered {
		t.Error("not recovered though nothing was missed")
	}
	if next := publish(t, s, "a", 1, hour); next != (core.Position{Offset: 4, Epoch: at.Epoch}) {
		t.Errorf("the next is at %v", next)
	}
}

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

// TestConcurrent lets one publisher per channel, readers and the sweeper meet. It is for the race detector, and checks that a
// recovery is never wrong.
func TestConcurrent(t *testing.T) {
	s := history.NewMemory(history.Options{})
	start(t, s)
	var wg sync.WaitGroup
	for c := range 4 {
		name := fmt.Sprint("c", c)
		wg.Go(func() {
			for range 2000 {
				publish(t, s, name, 1, history.Limits{Size: 16, TTL: time.Hour})
			}
		})
		wg.Go(func() {
			last := position(t, s, name)
			for last.Offset < 2000 {
				missed, at, recovered, err := s.Recover(t.Context(), name, last)
				if err != nil || recovered != (at.Offset-last.Offset <= 16) {
					t.Errorf("recovered %v from %v to %v: %v", recovered, last, at, err)
					return
				}
				for i, pub := range missed {
					if pub.Offset != last.Offset+uint64(i)+1 {
						t.Errorf("a gap after %d: %v", last.Offset, offsets(missed))
						return
					}
				}
				last = at
			}
		})
	}
	wg.Wait()
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
