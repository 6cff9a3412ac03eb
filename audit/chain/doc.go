// Package chain makes the record tamper-evident: who changes, removes or adds a row of the store afterwards is found out, unless he
// rewrites the whole rest of a chain, which the published head of the chain shows.
//
// Every process that records begins a chain. Each message that it puts into the spool ends with a Link: the digests of the events of the
// message and the digest of the link before it. So an event and the link that vouches for it reach the store together or not at all, and a
// process that is killed leaves a chain that only ends. Verify recomputes all of it from the rows of a store.
//
// A digest is of what the tables hold: milliseconds, addresses without zones, numbers as large as both stores can keep. The events were
// redacted before. Deliveries are left out, since the stores add them up.
//
// # What it proves
//
//   - A row that was changed, removed or added, and a link that is missing in the middle: always.
//   - Links and rows removed from the end of a chain, or whole chains, or a chain written anew from some point: only by comparing it with a
//     head that was kept elsewhere, such as the one in the server's log (see Head).
//   - Nothing about what the server itself wrote down wrongly, nor about events that were lost before the spool had them.
//
// Retention and erasure leave it verifiable: the digest of a row that is gone stays, and Verify accepts that it is gone when its time was
// over, or when an erasure names it which an action in the chain signs off.
//
// The package knows events and, to verify, SQL that all stores understand. It has no goroutines.
package chain
