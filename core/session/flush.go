package session

// A system call costs more than all else that is done for a message, so that what the commands of a session cause for itself leaves in
// one: the publications it gets of its own as well as the answers, and those to all the frames that came together. But nothing
// waits for anything but the processor: what could wait, for a plugin, a store, or another process, is preceded by a Flush.

// Flush writes what the frames that were handled have left in the queue. The transport calls it before it waits for the next one, on
// the goroutine that calls Handle.
func (s *Session) Flush() {
	if s.pending {
		s.pending = false
		s.queue.Flush()
	}
}

// hold keeps what anybody queues from now on, until Flush.
func (s *Session) hold() {
	s.queue.Hold()
	s.pending = true
}
