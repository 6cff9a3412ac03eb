// Package handover passes the clients' listener from a process that serves it to the next one, so that the port never closes: a
// worker outlives the agent that was killed, and the agent that comes after takes the listener from it.
//
// The process that serves offers the listener on a Unix socket in the data directory, which only the owner of the installation can
// reach; whoever connects gets the listener's file descriptor (unix(7), SCM_RIGHTS) and a description of the process. Run owns every
// goroutine.
package handover

// Process describes who serves the listener.
type Process struct {
	PID   int    `json:"pid"`
	Index int    `json:"index"` // Of the worker.
	UID   string `json:"uid"`   // Its identity on the bus.
}
