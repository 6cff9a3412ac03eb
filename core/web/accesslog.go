package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// AccessLog writes one line for every HTTP request and WebSocket handshake. It is safe for concurrent use.
type AccessLog struct {
	format func(*bytes.Buffer, *entry)
	failed atomic.Uint64

	mu  sync.Mutex // Lines must not mix.
	out io.Writer
}

// NewAccessLog returns a log in one of the formats "combined" (nginx), "common" (Apache) and "json", or "off". Every line is one
// Write to out, made before the next request of the connection is read: an out that blocks holds requests up, one that fails
// does not.
func NewAccessLog(format string, out io.Writer) (*AccessLog, error) {
	l := &AccessLog{out: out}
	switch format {
	case "off":
	case "combined":
		l.format = appendCombined
	case "common":
		l.format = appendCommon
	case "json":
		l.format = appendJSON
	default:
		return nil, fmt.Errorf("unknown access log format %q: want off, combined, common or json", format)
	}
	return l, nil
}

// Failures returns the number of lines that could not be written.
func (l *AccessLog) Failures() uint64 { return l.failed.Load() }

// Handler logs the requests that next answers, when it returns. A connection that next took over is logged as 101, unless next
// calls WriteHeader afterwards, which then reaches the log only.
func (l *AccessLog) Handler(next http.Handler) http.Handler {
	if l.format == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := entry{request: r, start: time.Now(), target: r.RequestURI}
		rec := &recorder{inner: w}
		returned := false
		defer func() {
			e.status, e.bytes, e.took = rec.status, rec.bytes, time.Since(e.start)
			switch {
			case !returned && e.status == 0: // A panic; net/http closes the connection.
				e.status = http.StatusInternalServerError
			case e.status == 0:
				e.status = http.StatusOK
			}
			l.write(&e)
		}()
		next.ServeHTTP(rec, r)
		returned = true
	})
}

func (l *AccessLog) write(e *entry) {
	var line bytes.Buffer
	line.Grow(256)
	l.format(&line, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.out.Write(line.Bytes()); err != nil {
		l.failed.Add(1)
	}
}

// recorder notes what a handler answers.
type recorder struct {
	inner  http.ResponseWriter
	status int // 0 until the final status is known.
	bytes  int64
	taken  bool // Hijacked.
}

func (w *recorder) Header() http.Header { return w.inner.Header() }

// Unwrap lets http.ResponseController find what this type lacks.
func (w *recorder) Unwrap() http.ResponseWriter { return w.inner }

func (w *recorder) WriteHeader(status int) {
	if w.taken {
		w.status = status
		return
	}
	final := status >= 200 || status == http.StatusSwitchingProtocols
	if w.status == 0 && final {
		w.status = status
	}
	w.inner.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.implicit()
	n, err := w.inner.Write(b)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way open for sendfile(2).
func (w *recorder) ReadFrom(src io.Reader) (int64, error) {
	w.implicit()
	n, err := io.Copy(w.inner, src)
	w.bytes += n
	return n, err
}

func (w *recorder) implicit() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// Flush is here for handlers that ask for http.Flusher rather than use http.ResponseController.
func (w *recorder) Flush() {
	w.implicit()
	http.NewResponseController(w.inner).Flush() //nolint:errcheck // http.Flusher has no error; a writer without it has nothing to flush.
}

// Hijack takes the connection over, as a WebSocket handshake does.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.inner).Hijack()
	if err == nil {
		w.taken, w.status = true, http.StatusSwitchingProtocols
	}
	return conn, rw, err
}
