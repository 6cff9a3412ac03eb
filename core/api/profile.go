package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/zenconn/server/core"
)

// Profiler takes profiles of the processes of the installation. Its method may be called concurrently.
type Profiler interface {
	// Profile takes a profile of a node's process, in the format of pprof: of that length from now on, or without one of its whole life. An
	// empty name means this process.
	Profile(ctx context.Context, node, kind string, length time.Duration) ([]byte, error)
}

// profilePath is where go tool pprof looks for profiles.
const profilePath = "/debug/pprof/"

// Beyond its own length, what a profile may take.
const profileGrace = 30 * time.Second

// profile answers GET /debug/pprof/{kind}?seconds=N&node=NAME.
func (c *Commands) profile(w http.ResponseWriter, r *http.Request) {
	started, kind, query := time.Now(), r.PathValue("kind"), r.URL.Query()
	node := query.Get("node")
	refuse := func(status int, err *core.Error) {
		c.note(callerOf(r), "profile", node, nil, err, started)
		http.Error(w, err.Message, status)
	}
	if status, refused := c.gate.refuse(r); refused != nil {
		refuse(status, refused)
		return
	}
	if c.options.Profiler == nil {
		refuse(http.StatusNotFound, core.ErrNotAvailable.Saying("this server takes no profiles: api.pprof switches them on"))
		return
	}
	var seconds int
	if text := query.Get("seconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 0 || seconds > 300 {
			refuse(http.StatusBadRequest, core.ErrBadRequest.Saying("seconds: want 0 to 300"))
			return
		}
	}
	length := time.Duration(seconds) * time.Second
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // Else it would end a long one.
	_ = control.SetWriteDeadline(started.Add(length + 2*profileGrace))
	ctx, cancel := context.WithTimeout(r.Context(), length+profileGrace)
	defer cancel()
	profile, err := c.options.Profiler.Profile(ctx, node, kind, length)
	if err != nil {
		refuse(http.StatusNotFound, core.ErrBadRequest.Saying(err.Error()))
		return
	}
	c.note(callerOf(r), "profile", node, map[string]any{"kind": kind, "seconds": seconds}, nil, started)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="`+kind+`.pprof"`)
	w.Write(profile) //nolint:errcheck // Who asked has gone.
}
