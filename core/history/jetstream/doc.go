// Package jetstream keeps histories on the bus, so that they outlive the process and can be written by several.
//
// # Layout
//
// Every namespace has two streams and a connection of its own, so that a full or slow one does not hold up another:
//
//   - h.<ns>.<channel>.<slot>: the ring. A publication with offset o is the only message of slot o mod N, N being the namespace's
//     history size; the next one of the slot replaces it. The stream's age limit is the namespace's time to live. The last K
//     publications are read by naming their K slots, which does not depend on how much the stream holds. A marker, in the slot p,
//     says that the channel was closed (see below).
//   - m.<ns>.<channel>: the position, which outlives the publications.
//
// Offsets and epochs are in headers. An append is a compare-and-swap: JetStream takes it only if the last message of all slots of
// the channel is the one that the writer knows. Two writers can therefore not give out one offset twice; the loser reads the
// channel again and takes the next one.
//
// The comparison looks at every slot of the channel, which takes 20 µs with a hundred of them. When no other process can be on
// the bus the turns of the channel in this process are enough, and it is left out, except after an attempt whose end is not known:
// that may still be carried out. Then messages are also stored in groups with a single acknowledgement.
//
// # Several processes
//
// The ring's stream then repeats what it stores on the live subject of the channel (LiveSubjects), in its order. The processes
// deliver that to their clients, and hand it to Live, so that the next append there begins with what is known already; a comparison
// that fails costs a reading otherwise. A namespace that is kept in memory has streams with names of their own.
//
// # The position
//
// Writing the position along with every publication would double the work. It is written only when a channel is opened and
// closed. The position of a channel is
//
//  1. what the last message in the ring says, if there is one;
//  2. otherwise what the position record says, if it is closed, or open but younger than half the time to live: what was
//     appended since would still be in the ring;
//  3. otherwise unknown. The channel begins a new epoch at offset 0, written down as closed. Nobody who held a position of an older
//     epoch is told that he has missed nothing.
//
// Who appends must have found a publication as the last message of the ring. If he found a marker or nothing, he first writes an
// open record (by compare-and-swap). A channel that has been idle for half the time to live is closed by who appended last: read the
// record's number, append a marker (compare-and-swap on the ring), write the closed record (compare-and-swap on that number). The
// marker makes every append fail that was based on what was there before, and whoever meets it opens anew, which makes a late closed
// record fail. So a closed record is never older than a publication.
//
// # Crashes
//
// Power or process lost between any two writes leaves one of these:
//
//   - open record, no publication after it: rule 2, or, half a time to live later, rule 3.
//   - publications in the ring, open record: rule 1. After a start, Run finds the open records and closes in time. If nothing runs
//     until all publications have expired, rule 3: the position cannot be known, since the last one left no trace.
//   - marker, open record: rule 1, the marker is a message. The next sweep writes another marker and the closed record.
//   - marker and closed record, but publications that Remove should have purged: they are still there; Remove had not returned.
//   - a stored publication whose acknowledgement was lost: the writer reads the ring again and recognizes it by its ID, or, if he is
//     gone, it stays, and its publisher has got no answer.
//
// # Other sizes
//
// N is part of the layout. The stream remembers the sizes it was used with; while publications of an older size may be there they
// are looked for in their old slots too. After growing, at least as many publications are kept as before, and soon more. After shrinking, with
// sizes that are no multiples, a new publication may replace an old one that would still be within the limit: recovery then says that
// it cannot, for at most one time to live.
package jetstream
