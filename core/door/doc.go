// Package door is where connections come in: it refuses at once, for the price of a few system calls, those that are too many at a time or
// from one address, and has the others speak TLS, whose sessions any process that knows the same secret can resume.
//
// It knows addresses and bytes, not what is said. Goroutines hold the refused connections open for a moment, so that they get to read why;
// there are few at a time, and Close ends them.
package door
