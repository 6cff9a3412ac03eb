package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check looks at one part of the server. Problem returns what is wrong in a sentence, or "". It is called for every request to
// /readyz and must be quick.
type Check struct {
	Name     string
	Required bool // The server is not ready while this part has a problem; otherwise the problem is only shown.
	Problem  func() string
}

// Handler answers GET /metrics, /healthz and /readyz, and the paths of the server API.
//
//   - /healthz: 200 while the process lives.
//   - /readyz: 200 when every required check is good, otherwise 503; the body names each check with its state.
//   - /metrics: Prometheus text format.
func Handler(gatherer prometheus.Gatherer, checks []Check, commands *Commands, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	commands.register(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, status{Status: "ok"}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, s := http.StatusOK, status{Status: "ok", Checks: make(map[string]string, len(checks))}
		for _, c := range checks {
			problem := c.Problem()
			switch {
			case problem == "":
				s.Checks[c.Name] = "ok"
				continue
			case c.Required:
				code, s.Status = http.StatusServiceUnavailable, "not ready"
			case s.Status == "ok":
				s.Status = "degraded"
			}
			s.Checks[c.Name] = problem
		}
		answer(w, code, s)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ZenConn, for operators: /metrics /healthz /readyz; for backends: POST /api/…, described at "+openAPIPath)
	})
	return mux
}

// Paths are what Handler answers besides /, as patterns of http.ServeMux.
var Paths = []string{"/metrics", "/healthz", "/readyz", "/api", "/api/"}

type status struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

func answer(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}

// The bounds of waiting for callers. They are programs of the operator's: what is slow is the machine, not they, and it is not to cost a call.
const (
	headTimeout = 30 * time.Second
	readTimeout = time.Minute // With the body.
	idleTimeout = time.Minute
)

// Serve answers on the listener until ctx ends and every request is answered, or its five seconds are over.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("API listener: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests to the API were cut off: the server is stopping")
		err = nil
	}
	err = errors.Join(err, server.Close())
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
