package api

import (
	"sync"
	"sync/atomic"
)

// inParallel calls do for 0 to n-1, at most so many at a time, and returns when all have returned. A panic of one ends the rest and
// becomes the caller's, so that it ends one request and not the process.
func inParallel(n, most int, do func(i int)) {
	var next atomic.Int64
	var fault atomic.Pointer[any]
	var wg sync.WaitGroup
	for range min(n, most) {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					fault.CompareAndSwap(nil, &v)
				}
			}()
			for i := int(next.Add(1)) - 1; i < n && fault.Load() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
	if v := fault.Load(); v != nil {
		panic(*v)
	}
}
