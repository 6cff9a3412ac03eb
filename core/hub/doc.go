// Package hub is the sole owner of membership: which connection listens to which channel. It gives publications their place in
// the history and fans them out to the members on this node, in the order of their offsets.
//
// A channel exists here while somebody listens or publishes. Joining, leaving and publishing in one channel never wait for
// another channel's fan-out, and no hook, write or history call happens while a lock of the membership is held.
//
// The package starts no goroutine. It knows neither sessions nor rights: who calls it has decided already.
package hub
