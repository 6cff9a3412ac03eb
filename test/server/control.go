package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Control serves what a test script outside Go may do to its surroundings until the test ends, and returns its URL. Every
// request is a POST and is answered when the thing is done:
//
//	/cut      every connection through the proxy breaks, new ones too
//	/restore  the network is back
//	/stop     the server ends in order
//	/kill     the server dies
//	/run      the server comes back, on the same port
//	/log      the server's log so far is the answer
func Control(t testing.TB, s *Server, p *Proxy) string {
	t.Helper()
	// One request at a time: Server is not made for more. Fatal belongs to the test's goroutine, so a failure there shows as a
	// failed test and an aborted request.
	turn := make(chan struct{}, 1)
	mux := http.NewServeMux()
	action := func(path string, do func()) {
		mux.HandleFunc("POST "+path, func(http.ResponseWriter, *http.Request) {
			turn <- struct{}{}
			defer func() { <-turn }()
			do()
		})
	}
	action("/cut", p.Cut)
	action("/restore", p.Restore)
	action("/stop", s.mustStop)
	action("/kill", s.Kill)
	action("/run", s.Run)
	mux.HandleFunc("POST /log", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, s.Log()) //nolint:errcheck // The script sees a short answer.
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}
