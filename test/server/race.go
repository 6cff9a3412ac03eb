//go:build race

package server

// buildFlags make a test that runs under the race detector watch the server too.
var buildFlags = []string{"-race"}
