package outbound

// makeRoomLocked states the slow-consumer policy: what may be thrown away so that size more bytes of this lane fit. It reports
// whether they fit now. Where something may be thrown away, what a writer has taken does not count: it is out of reach until the writer
// comes back with what the socket did not take, and on a busy machine that may be after many more publications.
func (q *Queue) makeRoomLocked(size int, lane *Lane) bool {
	if lane == nil {
		return false
	}
	switch lane.Policy {
	case Conflate:
		return q.dropLocked(DroppedConflated, size, func(it item) bool { return it.lane == lane && !it.started })
	case DropOldest:
		return q.dropLocked(DroppedOldest, size, func(it item) bool { return it.lane != nil && it.lane.Policy != Disconnect && !it.started })
	case Disconnect:
	}
	return false
}

// fitsLocked reports whether a frame of size bytes may wait. One frame always may, however large: a long recovery must not make
// a client seem slow.
func (q *Queue) fitsLocked(size int) bool {
	waiting := len(q.items) + q.taken
	return waiting == 0 || waiting < q.limits.Messages && q.bytes+size <= q.limits.Bytes
}

// dropLocked removes waiting frames that may go, if it must, the oldest first. Conflated lanes lose all of theirs at once, so that the next
// frame of the lane is followed by no stale one; otherwise it stops as soon as size more bytes fit. It reports whether they do.
func (q *Queue) dropLocked(why DropReason, size int, mayGo func(item) bool) bool {
	bytes := 0 // Of items.
	for _, it := range q.items {
		bytes += len(it.frame)
	}
	fits := func(waiting int) bool {
		return waiting == 0 || waiting < q.limits.Messages && bytes+size <= q.limits.Bytes
	}
	if fits(len(q.items)) {
		return true
	}
	kept := q.items[:0]
	dropped := 0
	for i, it := range q.items {
		if !mayGo(it) {
			kept = append(kept, it)
			continue
		}
		dropped += int(it.messages)
		q.bytes -= len(it.frame)
		bytes -= len(it.frame)
		if why == DroppedOldest && fits(len(kept)+len(q.items)-i-1) {
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
	return fits(len(q.items))
}
