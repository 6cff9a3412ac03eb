// Package core is ZenConn's vocabulary: the words every other package speaks. It holds identifiers, publications, client
// information, grants, coded errors and disconnects, and nothing that acts.
//
// It imports the standard library only, starts no goroutine, and knows neither the wire protocol nor any package above it.
package core
