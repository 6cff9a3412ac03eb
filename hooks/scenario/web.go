package scenario

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const maxRequest = 2 << 20 // Bytes of a body.

// web is a web server on this machine that answers as a scenario says.
type web struct {
	server *http.Server
	host   string // 127.0.0.1:PORT.
	ended  chan struct{}
	stop   context.CancelFunc // Ends delays.

	mu       sync.Mutex // Guards all below.
	expected []exchange
	next     int
	strict   bool // Requests are to be as expected; otherwise they are only answered, again and again.
	problems []Problem
}

func startWeb() (*web, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the web server of the scenario: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &web{host: listener.Addr().String(), ended: make(chan struct{}), stop: stop}
	w.server = &http.Server{
		Handler: http.HandlerFunc(w.serve), ReadTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(w.ended)
		_ = w.server.Serve(listener) // It ends by Close.
	}()
	return w, nil
}

func (w *web) close() {
	w.stop()
	w.server.Close() //nolint:errcheck // Nobody waits for an answer.
	<-w.ended
}

// expect says which requests come next. Without strict, whichever come are answered with these in turn.
func (w *web) expect(all []exchange, strict bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected, w.next, w.strict, w.problems = all, 0, strict, nil
}

// missing returns what was wrong with the requests, and those that have not come.
func (w *web) missing() []Problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	problems := slices.Clone(w.problems)
	if w.strict {
		for _, e := range w.expected[min(w.next, len(w.expected)):] {
			problems = append(problems, Problem{Line: e.line, Text: fmt.Sprintf("http: the request %s %s has not come", e.method, e.path)})
		}
	}
	return problems
}

func (w *web) serve(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		http.Error(out, "the request cannot be read", http.StatusBadRequest)
		return
	}
	a, ok := w.answer(r, string(body))
	if !ok {
		http.Error(out, "no such request is expected", http.StatusNotImplemented)
		return
	}
	select {
	case <-time.After(a.delay):
	case <-r.Context().Done():
		return
	}
	if a.body.IsJSON {
		out.Header().Set("Content-Type", "application/json")
	}
	for name, v := range a.headers {
		out.Header().Set(name, v.Text)
	}
	out.WriteHeader(a.status)
	_, _ = io.WriteString(out, a.body.Text) // The plugin may have hung up.
}

// answer finds the answer to a request, and notes how it differs from the expected one.
func (w *web) answer(r *http.Request, body string) (answer, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.strict && len(w.expected) > 0 {
		w.next = w.next % len(w.expected)
	}
	path := r.URL.RequestURI()
	if w.next >= len(w.expected) {
		if !w.strict {
			return answer{}, false
		}
		w.problems = append(w.problems, Problem{Text: fmt.Sprintf("http: the request %s %s is not expected", r.Method, path)})
		return answer{}, false
	}
	e := w.expected[w.next]
	w.next++
	differs := func(what string, want, got fmt.Stringer) {
		if !w.strict {
			return
		}
		w.problems = append(w.problems, Problem{e.line, fmt.Sprintf("http: the %s is\n    %s\nwant\n    %s", what, got, want)})
	}
	if r.Method != e.method || path != e.path {
		differs("request", textValue(e.method+" "+e.path), textValue(r.Method+" "+path))
	}
	for name, want := range e.headers {
		got := optional(strings.Join(r.Header.Values(name), ", "))
		if !want.matches(got) && want.Text != got.Text {
			differs("header "+strconv.Quote(name), want, got)
		}
	}
	if e.body != nil && !e.body.matches(textValue(body)) {
		differs("body", e.body, textValue(body))
	}
	return e.answer, true
}
