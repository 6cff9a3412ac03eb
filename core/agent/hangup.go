package agent

import (
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// NoteHangUp records that a signal had the server read something again, such as "configuration", and why that was refused, if it was. Who
// sent the signal cannot be known. Nothing is recorded before the server serves and after it ended.
func (a *Agent) NoteHangUp(what string, err error) {
	r := a.reloader.Load()
	if r == nil {
		return
	}
	event := &audit.Action{
		At: time.Now(), ID: core.NewID(), Node: a.name, Actor: "SIGHUP", ActorKind: "signal", Action: "reload", Target: what, OK: err == nil,
	}
	if err != nil {
		event.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	r.node.Recorder().Record(event)
}
