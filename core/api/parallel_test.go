package api

import (
	"sync/atomic"
	"testing"
)

func TestInParallel(t *testing.T) {
	for _, n := range []int{0, 1, 7, 100} {
		var calls [100]atomic.Int32
		var now, most atomic.Int32
		inParallel(n, 8, func(i int) {
			calls[i].Add(1)
			if at := now.Add(1); at > most.Load() {
				most.Store(at)
			}
			now.Add(-1)
		})
		for i := range calls {
			if want := int32(min(max(n-i, 0), 1)); calls[i].Load() != want {
				t.Errorf("of %d: %d was called %d times", n, i, calls[i].Load())
			}
		}
		if most.Load() > 8 {
			t.Errorf("of %d: %d at a time", n, most.Load())
		}
	}
}

func TestInParallelPanics(t *testing.T) {
	defer func() {
		if v := recover(); v != "a fault" {
			t.Errorf("recovered %v", v)
		}
	}()
	inParallel(100, 8, func(i int) {
		if i == 5 {
			panic("a fault")
		}
	})
	t.Error("the panic was swallowed")
}
