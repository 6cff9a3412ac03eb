package bench_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/bench"
)

func TestHistogramAgainstSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() time.Duration{
		"small":       func() time.Duration { return time.Duration(random.IntN(200)) },
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * float64(time.Millisecond)) },
		"very wide":   func() time.Duration { return time.Duration(math.Exp(random.Float64() * 28)) },
		"constant":    func() time.Duration { return 123_456_789 },
	} {
		t.Run(name, func(t *testing.T) {
			var h, parts [2]bench.Histogram
			all := make([]time.Duration, 10_000)
			for i := range all {
				all[i] = draw()
				h[0].Record(all[i])
				parts[i%2].Record(all[i])
			}
			h[1].Add(&parts[0])
			h[1].Add(&parts[1])
			slices.Sort(all)
			for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
				want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
				for i := range h {
					if got := h[i].Quantile(q); got < want || float64(got) > float64(want)*1.016+1 {
						t.Errorf("histogram %d: quantile %v is %v, want %v", i, q, got, want)
					}
				}
			}
			if h[1].Max() != all[len(all)-1] || h[1].Count() != uint64(len(all)) {
				t.Errorf("maximum %v of %d, want %v of %d", h[1].Max(), h[1].Count(), all[len(all)-1], len(all))
			}
			var sum, below uint64
			for _, bar := range h[0].Bars() {
				sum += bar.Count
				for below < uint64(len(all)) && all[below] < bar.To {
					below++
				}
				if sum != below {
					t.Errorf("%d up to %v, want %d", sum, bar.To, below)
				}
			}
			if sum != uint64(len(all)) {
				t.Errorf("the bars hold %d of %d", sum, len(all))
			}
		})
	}
}

func TestHistogramAtItsEnds(t *testing.T) {
	var h bench.Histogram
	if h.Quantile(0.5) != 0 || h.Bars() != nil {
		t.Error("an empty histogram has values")
	}
	h.Record(-time.Second)
	h.Record(1000 * time.Hour)
	if h.Quantile(0) != 0 || h.Max() != 1000*time.Hour || h.Count() != 2 {
		t.Errorf("minimum %v, maximum %v", h.Quantile(0), h.Max())
	}
}
