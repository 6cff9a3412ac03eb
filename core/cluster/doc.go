// Package cluster makes many processes act as one: Members knows which processes are there, Calls does to all of them what the server
// API and clients ask for.
//
// Every process says hello on the bus twice a second. Who was not heard for a second is asked; who has ended is known at once then,
// who merely does not answer gets ten seconds. Nothing depends on the clocks of other machines: only the time since a hello
// arrived here counts.
//
// The package knows sessions by session.Server and other processes by the bus. It must not know how processes are started or
// supervised, nor HTTP. Members.Run and Calls.Run own its goroutines.
package cluster
