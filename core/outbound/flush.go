package outbound

import (
	"net"
	"time"

	"github.com/zenconn/server/core"
)

// keepItems is the capacity of the list of waiting frames that a queue keeps when it is empty: small, because most connections
// are idle most of the time.
const keepItems = 8

// Flush writes all that waits without blocking. When the socket is full, a goroutine waits for it and Flush returns at once.
func (q *Queue) Flush() {
	q.mu.Lock()
	q.listed = false
	if q.writing || q.drained {
		q.mu.Unlock()
		return
	}
	q.writing = true
	q.drain()
}

// Hold has what is queued from now on, by whomever, wait for the Flush that the caller must let follow without waiting for anything.
func (q *Queue) Hold() {
	q.mu.Lock()
	q.listed = true
	q.mu.Unlock()
}

// drain writes until nothing waits. It is entered with mu held and writing set, and returns with mu released; then either
// writing is false, or a goroutine has taken over.
func (q *Queue) drain() {
	for len(q.items) > 0 {
		batch := q.items
		q.items = nil
		q.taken = len(batch)
		q.mu.Unlock()

		n, written, err := q.writeSome(batch)

		q.mu.Lock()
		q.bytes -= written
		q.written += uint64(written)
		q.taken = 0
		if err != nil {
			q.failLocked(messagesIn(batch[n:]))
			q.mu.Unlock()
			return
		}
		if n < len(batch) {
			// Full socket. What it did not take goes back to the front, in order, and stays within reach of the policy, but for
			// the frame that is half written.
			q.items = append(batch[n:len(batch):len(batch)], q.items...)
			go q.wait()
			q.mu.Unlock()
			return
		}
		if len(q.items) == 0 && cap(batch) <= keepItems {
			clear(batch)
			q.items = batch[:0]
		}
	}
	q.writing = false
	finish := q.ended && !q.drained
	if finish {
		q.drained = true
	}
	q.mu.Unlock()
	if finish {
		q.finish()
	}
}

// wait writes the oldest frame, blocking, and then goes on with drain. It runs on its own goroutine while the socket is full;
// the write deadline bounds it.
func (q *Queue) wait() {
	q.mu.Lock()
	if len(q.items) == 0 { // Destroyed, or the slow client's frames were discarded.
		q.drain()
		return
	}
	first := q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	q.taken, q.waiting = 1, true
	if q.ended {
		q.hurryLocked()
	} else {
		_ = q.SetWriteDeadline(time.Now().Add(q.limits.WriteTimeout))
	}
	q.mu.Unlock()

	n, err := q.Conn.Write(first.frame)

	q.mu.Lock()
	q.taken, q.waiting = 0, false
	q.bytes -= n
	q.written += uint64(n)
	if err != nil {
		q.failLocked(int(first.messages))
		q.mu.Unlock()
		return
	}
	if !q.hurried {
		_ = q.SetWriteDeadline(time.Time{})
	}
	q.drain()
}

// failLocked ends a queue whose socket cannot be written any more and wakes the reader, which destroys it. lost is how many
// messages the failed write had taken and not delivered.
func (q *Queue) failLocked(lost int) {
	if lost > 0 {
		q.drops.Dropped(DroppedClosed, lost)
		q.messages -= uint64(lost)
	}
	if !q.ended {
		q.ended, q.reason = true, core.DisconnectWriteError
	}
	q.writing, q.drained = false, true
	q.discardLocked(DroppedClosed)
	_ = q.SetReadDeadline(time.Now())
}

// lingerTimeout is how long the reader still listens after the goodbye: a socket closed with unread bytes in it resets the
// connection, and the goodbye would be lost.
const lingerTimeout = time.Second

// finish closes the sending side after the goodbye and gives the peer a moment to close its own.
func (q *Queue) finish() {
	if half, ok := q.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = q.SetReadDeadline(time.Now().Add(lingerTimeout))
}

// writeSome writes as much of batch as the socket takes without blocking. It returns how many frames are written to the end,
// how many bytes, and the error that makes the socket useless. A frame that is half written is left in batch with its rest.
func (q *Queue) writeSome(batch []item) (frames, bytes int, err error) {
	if q.raw == nil {
		return 0, 0, nil // Not possible here: wait does it, blocking.
	}
	return writeRaw(q.raw, batch)
}

// advance accounts for n bytes written from the front of batch: how many whole frames that is. The rest of a half written
// frame replaces it.
func advance(batch []item, n int) (frames int) {
	for frames < len(batch) && n >= len(batch[frames].frame) {
		n -= len(batch[frames].frame)
		frames++
	}
	if n > 0 {
		batch[frames].frame = batch[frames].frame[n:]
		batch[frames].started = true
	}
	return frames
}

var _ net.Conn = (*Queue)(nil)
