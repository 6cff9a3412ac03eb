package bench_test

import (
	"math/rand/v2"
	"testing"

	"github.com/zenconn/server/bench"
)

func TestVerifier(t *testing.T) {
	const inOrder, reordered, duplicate = bench.InOrder, bench.Reordered, bench.Duplicate
	for name, test := range map[string]struct {
		seen     []uint64
		verdicts []bench.Verdict
		sent     uint64
		missing  uint64
	}{
		"all in order":             {[]uint64{0, 1, 2}, []bench.Verdict{inOrder, inOrder, inOrder}, 3, 0},
		"nothing sent":             {nil, nil, 0, 0},
		"nothing arrived":          {nil, nil, 3, 3},
		"the first is lost":        {[]uint64{1, 2}, []bench.Verdict{inOrder, inOrder}, 3, 1},
		"one in between is lost":   {[]uint64{0, 2}, []bench.Verdict{inOrder, inOrder}, 3, 1},
		"the last is lost":         {[]uint64{0, 1}, []bench.Verdict{inOrder, inOrder}, 3, 1},
		"the last comes twice":     {[]uint64{0, 1, 1}, []bench.Verdict{inOrder, inOrder, duplicate}, 2, 0},
		"an old one comes again":   {[]uint64{0, 1, 2, 0}, []bench.Verdict{inOrder, inOrder, inOrder, duplicate}, 3, 0},
		"two change places":        {[]uint64{1, 0, 2}, []bench.Verdict{inOrder, reordered, inOrder}, 3, 0},
		"the late one comes twice": {[]uint64{1, 0, 0}, []bench.Verdict{inOrder, reordered, duplicate}, 2, 0},
		"out of the middle of a hole": {
			[]uint64{4, 2, 0, 1, 2}, []bench.Verdict{inOrder, reordered, reordered, reordered, duplicate}, 5, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := bench.NewVerifier(1)
			for i, seq := range test.seen {
				if got := v.See(0, seq); got != test.verdicts[i] {
					t.Errorf("number %d: verdict %d, want %d", seq, got, test.verdicts[i])
				}
			}
			if got := v.Missing(0, test.sent); got != test.missing {
				t.Errorf("%d missing, want %d", got, test.missing)
			}
		})
	}
}

func TestVerifierKeepsStreamsApart(t *testing.T) {
	v := bench.NewVerifier(2)
	v.See(0, 0)
	if got := v.See(1, 0); got != bench.InOrder {
		t.Errorf("the first of the second stream: verdict %d", got)
	}
	for _, stream := range []int{-1, 2} {
		if got := v.See(stream, 0); got != bench.Stray {
			t.Errorf("stream %d: verdict %d, want stray", stream, got)
		}
	}
	if v.Missing(0, 2) != 1 || v.Missing(1, 1) != 0 {
		t.Error("the streams are not counted apart")
	}
}

// The counts stay right even when more is lost than the verifier remembers.
func TestVerifierCountsHeavyLoss(t *testing.T) {
	const sent = 100_000
	random := rand.New(rand.NewPCG(1, 2))
	v := bench.NewVerifier(1)
	var lost uint64
	for seq := range uint64(sent) {
		if random.IntN(3) == 0 {
			lost++
			continue
		}
		if got := v.See(0, seq); got != bench.InOrder {
			t.Fatalf("number %d: verdict %d", seq, got)
		}
	}
	if got := v.Missing(0, sent); got != lost {
		t.Errorf("%d missing, want %d", got, lost)
	}
}
