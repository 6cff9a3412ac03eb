package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/zenconn/server/core"
)

// What a request may take.
const (
	callTimeout  = 20 * time.Second // To be carried out.
	writeTimeout = 30 * time.Second // To be carried out, and its answer read by the caller.
)

// register adds the server API's paths.
func (c *Commands) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+openAPIPath, serveOpenAPI)
	mux.HandleFunc("/api", c.serve(c.lines))
	mux.HandleFunc("/api/{method...}", c.serve(c.method))
	mux.HandleFunc("/api/batch", c.serve(c.batch))
	mux.HandleFunc("GET "+profilePath+"{kind}", c.profile)
}

// answering carries out a request whose body was read, and returns the HTTP status and what is written as JSON.
type answering func(ctx context.Context, r *http.Request, body []byte) (status int, answer []byte)

// serve is what all requests have in common: who may, how large, how long.
func (c *Commands) serve(answer answering) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // Best effort.
		started := time.Now()
		body, status, refused := c.admit(w, r)
		var text []byte
		if refused != nil {
			c.note(callerOf(r), methodOf(r), "", nil, refused, started)
			text = mustJSON(refusedReply(refused))
		} else {
			// Once begun, a request is carried out also when its caller hangs up.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callTimeout)
			defer cancel()
			status, text = answer(ctx, r, body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		w.Write(text)
	}
}

// admit reads the body of a request that may be made.
func (c *Commands) admit(w http.ResponseWriter, r *http.Request) (body []byte, status int, refused *core.Error) {
	if status, refused = c.gate.refuse(r); refused != nil {
		return nil, status, refused
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, core.ErrBadRequest.Saying("use POST")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(c.options.RequestSize)))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, http.StatusRequestEntityTooLarge,
			core.ErrLimitExceeded.Saying(fmt.Sprintf("the body has more than %d bytes (api.request_size)", c.options.RequestSize))
	}
	if err != nil {
		return nil, http.StatusBadRequest, core.ErrBadRequest.Saying("the body did not arrive whole")
	}
	return body, 0, nil
}

func callerOf(r *http.Request) netip.Addr {
	addr, _ := netip.ParseAddrPort(r.RemoteAddr)
	return addr.Addr().Unmap()
}

// methodOf names a request that was refused, for its count: never more names than there are methods.
func methodOf(r *http.Request) string {
	method := r.PathValue("method")
	if _, known := methods[method]; known {
		return method
	}
	switch r.URL.Path {
	case "/api/batch":
		return "batch"
	case "/api":
		return "lines"
	}
	return "unknown"
}

// method answers /api/{method}.
func (c *Commands) method(ctx context.Context, r *http.Request, body []byte) (int, []byte) {
	method := r.PathValue("method")
	result, refused := c.execute(ctx, callerOf(r), method, body)
	if refused == nil {
		return http.StatusOK, mustJSON(reply{Result: result})
	}
	status := http.StatusOK
	_, known := methods[method]
	if !known || errors.Is(refused, errMalformed) || r.Header.Get("X-Centrifugo-Error-Mode") == "transport" {
		status = statusOf(refused.Code)
	}
	return status, mustJSON(refusedReply(refused))
}

// statusOf is the HTTP status of an error, where the caller wants one.
func statusOf(code uint32) int {
	switch code {
	case core.ErrUnknownChannel.Code, core.ErrMethodNotFound.Code:
		return http.StatusNotFound
	case core.ErrBadRequest.Code, core.ErrNotAvailable.Code, core.ErrLimitExceeded.Code, core.ErrExpired.Code:
		return http.StatusBadRequest
	case core.ErrPermissionDenied.Code:
		return http.StatusForbidden
	case core.ErrTooManyRequests.Code:
		return http.StatusTooManyRequests
	case core.ErrUnrecoverablePosition.Code:
		return http.StatusRequestedRangeNotSatisfiable
	}
	return http.StatusInternalServerError
}

// mustJSON writes what always can be written.
func mustJSON(value any) []byte {
	text, err := toJSON(value)
	if err != nil {
		panic("api: " + err.Error()) // Answers are made of types that JSON has.
	}
	return text
}
