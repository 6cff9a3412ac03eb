package cluster

import "time"

// Kind says what a process does.
type Kind string

// The kinds.
const (
	Agent  Kind = "agent"  // Supervises workers and answers the server API; it may also keep connections itself.
	Worker Kind = "worker" // Keeps connections.
)

// State says how far a process is in its life.
type State string

// The states.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Draining State = "draining" // It takes no new connections, and ends when the last has gone.
)

// Numbers are what a process has to do, at its last hello.
type Numbers struct {
	Sessions      int     `json:"sessions"`
	Users         int     `json:"users"`
	Channels      int     `json:"channels"`
	Subscriptions int     `json:"subscriptions"`
	MessagesIn    float64 `json:"messages_in"`  // Commands of clients, per second.
	MessagesOut   float64 `json:"messages_out"` // Publications queued for clients, per second.
	Memory        int64   `json:"memory"`       // Resident bytes of the process.
}

// Member is one process on the bus.
type Member struct {
	UID     string    `json:"uid"` // Another one after each start: core.NewID().String().
	Name    string    `json:"name"`
	Kind    Kind      `json:"kind"`
	Agent   string    `json:"agent,omitempty"` // UID of the agent that supervises it.
	Index   int       `json:"index,omitempty"` // Which of its agent's workers it is, from 1; 0: it was not started by an agent.
	Version string    `json:"version"`         // Of the program.
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // By its own clock.
	State   State     `json:"state"`

	// Outdated says why a worker must be started again to be as its agent wants it; empty: it need not.
	Outdated string `json:"outdated,omitempty"`

	// Complaint is what is wrong with it by its own account, in a sentence; empty: nothing.
	Complaint string `json:"complaint,omitempty"`

	Numbers

	// What this process has found out about it.

	Self         bool          `json:"-"` // It is this process.
	Incompatible bool          `json:"-"` // It speaks another version of the requests: it is listed, and not used.
	Problem      string        `json:"-"` // A sentence for the operator; empty: none.
	Skew         time.Duration `json:"-"` // How far its clock is ahead of this machine's.
	Silence      time.Duration `json:"-"` // Since its last hello. Time in which this process was cut off from the bus does not count.
}

// EventKind says what happened to a member.
type EventKind int

// The events.
const (
	Joined  EventKind = iota // It was heard for the first time, or again after it had gone.
	Changed                  // Its state, its agent, its problem, or whether it is outdated. Numbers change without an event.
	Gone                     // Reason says why.
)

func (k EventKind) String() string { return [...]string{"joined", "changed", "gone"}[k] }

// Event is what happened to a member other than this process.
type Event struct {
	Kind   EventKind
	Member Member
	Reason string // Of Gone: a sentence for log and audit.
}
