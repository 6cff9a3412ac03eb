// Package outbound is the way out of one connection: a bounded queue of encoded frames and the flushing of it.
//
// Everything that leaves a connection (replies, publications, pings, the closing frame) goes through its Queue, so it leaves
// in one order and the frames that wait together leave in one system call: a write costs the kernel about the same whatever
// its size. A queue with something in it is put once on the list of a flusher; only a full socket gets a goroutine of its own.
//
// The package knows bytes and encodings, not sessions or channels. Flushers.Run owns the flushing goroutines; a goroutine that
// waits for a full socket belongs to its Queue and ends with it.
package outbound
