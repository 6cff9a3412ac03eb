// Package hub is the sole owner of membership: which connection listens to which channel. It gives publications their place in
// the history and fans them out to the members on this node, in the order of their offsets.
//
// A channel exists here while somebody listens or publishes. Joining, leaving and publishing in one channel never wait for
// another channel's fan-out, and no hook, write or history call happens while a lock of the membership is held.
//
// Publications of channels that batch wait for others, up to the delay of their namespace, until Hub.Run delivers them, or somebody who
// has more of them, leaves, or is about to be told something that must not come first.
//
// The package starts no goroutine but those that its callers run. It knows neither sessions nor rights: who calls it has decided already.
package hub
