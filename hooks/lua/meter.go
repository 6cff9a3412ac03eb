package lua

import (
	"context"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks/host"
)

// checkEvery is the work, in units of about one instruction, between two looks at the clock, which cost as much as two or three
// instructions. A single instruction may cost a megabyte of memory traffic, so this also bounds how late a deadline is noticed.
const checkEvery = 32

// meter is the context the virtual machine runs under. The machine asks for Done before every instruction, so counting there
// replaces a timer; library functions count the work they do in Go with spend. Once the time is over it stays over: pcall may
// catch the error, but the next instruction raises it again. It belongs to one instance and is not safe for concurrent use.
type meter struct {
	deadline time.Time
	patient  bool // The deadline moves by the time in which the script could not run.
	stood    host.Standstill
	left     int    // Work until the next look at the clock.
	err      error  // Set once the time is over, or the call was aborted.
	where    string // Where the script was then, as "file:line: ".
	state    *lua.LState
}

var (
	never  chan struct{} // A receive from it waits.
	always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// start begins a call that must end at the deadline.
func (m *meter) start(deadline time.Time) {
	m.deadline, m.patient, m.left, m.err, m.where = deadline, false, checkEvery, nil, ""
}

// startUnhurried begins a call that nobody waits for: it may run for topDeadline, however long that takes.
func (m *meter) startUnhurried() {
	now := time.Now()
	m.start(now.Add(topDeadline))
	m.patient = true
	m.stood.Begin(now)
}

// spend counts work and raises an error in the script when its time is over.
func (m *meter) spend(units int) {
	if m.left -= units; m.left <= 0 && m.over() {
		m.state.RaiseError("%s", m.err.Error())
	}
}

// check raises an error in the script when its time is over, however much work was counted.
func (m *meter) check() {
	m.left = 0
	m.spend(0)
}

// abort ends the call: what the script has done is no error that it may catch.
func (m *meter) abort(fault error) {
	m.err, m.where = fault, m.line()
	m.state.RaiseError("%s", fault.Error())
}

// spendBytes counts work that touches n bytes once.
func (m *meter) spendBytes(n int) { m.spend(1 + n/256) }

func (m *meter) over() bool {
	if m.err != nil {
		return true
	}
	m.left = checkEvery
	now := time.Now()
	if m.patient {
		m.deadline = m.deadline.Add(m.stood.Lost(now))
	}
	if now.Before(m.deadline) {
		return false
	}
	m.err, m.where = context.DeadlineExceeded, m.line()
	return true
}

// line is where the script is, below the library functions it is in: "file:line: ", or nothing when it has ended.
func (m *meter) line() string {
	for level := 0; ; level++ {
		switch where := m.state.Where(level); {
		case where == "":
			return ""
		case !strings.HasPrefix(where, "[G]"):
			return where + " "
		}
	}
}

// Deadline, Done, Err and Value make the meter a context.Context.
func (m *meter) Deadline() (time.Time, bool) { return m.deadline, true }

func (m *meter) Done() <-chan struct{} {
	if m.left--; m.left <= 0 && m.over() {
		return always
	}
	return never
}

func (m *meter) Err() error    { return m.err }
func (m *meter) Value(any) any { return nil }
