package api

import (
	"sync"
	"sync/atomic"
)

// inParallel calls do for 0 to n-1, at most so many at a time, and returns when all have returned.
func inParallel(n, most int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, most) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
