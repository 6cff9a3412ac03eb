// Package relay carries publications, and who comes and goes, between the hubs of an installation, over the bus.
//
// It knows subjects, bytes and connections, and asks the hub what they mean: not what a member is, and no order of publications.
// Relay.Run owns its goroutines: those that take what comes, one that makes sure that the bus knows what we want to hear, and those
// that have the hub verify channels.
//
// # What goes where
//
// All that concerns a channel goes over <prefix>.live.<channel as a token>, and a node hears it while it has members:
//
//   - Publications without a place in a history, and announcements, in the format of this package (see encode), from the node where
//     they are made. The bus does not bring them back there.
//   - What a history has stored, as the stream repeats it: in the order of the offsets, and to the node that published it too.
//
// The bus may lose any of it: a server that does not know yet that we listen, a broken connection, our own queue when it is full. What
// has a history is verified then, and now and then anyway.
package relay
