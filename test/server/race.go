//go:build race

package server

// buildFlags make a test that runs under the race detector watch the server too, as far as the Makefile's tests are watched.
var buildFlags = []string{"-race", "-gcflags=github.com/tetratelabs/wazero/...=-race=false", "-gcflags=modernc.org/...=-race=false"}
