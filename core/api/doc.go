// Package api is the server's face to its owner over HTTP: metrics, health and readiness for the operator, and the server API for
// the owner's backend.
//
// The server API speaks the paths and bodies of the Centrifugo HTTP API, so that its server libraries work, and has some methods of
// its own. What a method does is the Cluster's matter: this package checks who asks, reads the request, writes the answer, and sees
// to it that every call is counted and recorded. It starts no goroutine that outlives a request.
package api
