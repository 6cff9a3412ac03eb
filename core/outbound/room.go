package outbound

// makeRoomLocked states the slow-consumer policy: what may be thrown away so that size more bytes of this lane fit. It reports
// whether they fit now.
func (q *Queue) makeRoomLocked(size int, lane *Lane) bool {
	if lane == nil {
		return false
	}
	switch lane.Policy {
	case Conflate:
		q.dropLocked(DroppedConflated, size, func(it item) bool { return it.lane == lane && !it.started })
	case DropOldest:
		q.dropLocked(DroppedOldest, size, func(it item) bool { return it.lane != nil && it.lane.Policy != Disconnect && !it.started })
	case Disconnect:
	}
	return q.fitsLocked(size)
}

// fitsLocked reports whether a frame of size bytes may wait. One frame always may, however large: a long recovery must not make
// a client seem slow.
func (q *Queue) fitsLocked(size int) bool {
	waiting := len(q.items) + q.taken
	return waiting == 0 || waiting < q.limits.Messages && q.bytes+size <= q.limits.Bytes
}

// dropLocked removes waiting frames that may go, the oldest first. Conflated lanes lose all of theirs at once, so that the next
// frame of the lane is followed by no stale one; otherwise it stops as soon as size more bytes fit.
func (q *Queue) dropLocked(why DropReason, size int, mayGo func(item) bool) {
	kept := q.items[:0]
	dropped := 0
	for i, it := range q.items {
		if !mayGo(it) {
			kept = append(kept, it)
			continue
		}
		dropped += int(it.messages)
		q.bytes -= len(it.frame)
		waiting := len(kept) + len(q.items) - i - 1
		if why == DroppedOldest && waiting+q.taken < q.limits.Messages && q.bytes+size <= q.limits.Bytes {
			kept = append(kept, q.items[i+1:]...)
			break
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
	if dropped > 0 {
		q.messages -= uint64(dropped)
		q.drops.Dropped(why, dropped)
	}
}
