// Package spool carries audit events from every node to the one store, over a stream on the bus that outlives the processes.
//
// A Writer is what a node's recorder writes to: it appends batches. A Drain, one in each agent, takes them off and writes them to the
// store; of all drains one is the leader. The package knows events, stores and the bus, nothing of sessions. Writer has no goroutines;
// Drain.Run owns those of the drain.
//
// # Exactly once
//
// A recorder writes one batch after the other, and each again until it is acknowledged. Its parts are numbered: life of the recorder,
// batch, part. They reach the stream in that order, but after a lost acknowledgement a part may be there twice. JetStream itself drops
// such duplicates within its window; the drain remembers the highest number of every life that it has stored and skips what is not above
// it. That also holds when the bus was away for an hour, and when it lost its window because it was killed.
//
// The store knows a batch by its token (see audit.Writer). Small batches are merged, so a token must always stand for the same range of
// the stream. All that the drain must not forget is one record in a key-value bucket, changed by compare-and-swap only:
//
//   - who leads, and a beat, which he changes every second. Who sees no change for three seconds takes over;
//   - done: the last message that is stored;
//   - the claim: the range of messages that is being stored;
//   - the highest numbers of the lives, as of done.
//
// The leader reads messages without acknowledging them, writes the claim, stores the range with a token made of it, sets done, and removes
// everything up to done from the stream. This is why the stream keeps messages by limits and not as a work queue: a work queue forgets
// single messages, and half a range is no range.
//
// # Crashes
//
//   - Before the claim is written: nothing has been stored. The next leader reads the same messages, and perhaps more.
//   - After it: the range may be stored, half stored (one table of several) or not stored. The next leader stores exactly this range with the
//     same tokens; the store skips what it has.
//   - After done: messages may still be there that are stored. The next leader begins behind done and removes them.
//   - A leader who was only asleep writes its range too, with the same tokens. Its next change of the record fails, since another one has
//     changed it, and it steps down.
//
// # What cannot be stored
//
// Messages that nobody can read, events of kinds that this program does not know, and events that the store refuses for good are put, as
// they are, into a second stream, once, before the range is done. Retry puts them back into the spool. If the second stream is full the drain
// waits: it never drops.
package spool
