package wasm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/zenconn/server/hooks/wasm/meter"
)

// The error numbers of WASI that are answered with.
const (
	wasiSuccess       = 0
	wasiBadDescriptor = 8
	wasiInvalid       = 28
	wasiNotSupported  = 58
	wasiNotCapable    = 76
)

// wasi is what there is of WASI preview 1: clocks, random numbers, output to the log, and no arguments, environment or files.
//
// The standard libraries of Go, Rust and C import functions for files and sockets along with their formatting and error types, even where
// nothing calls them. Those answer that there is no such descriptor. What a program imports only if it wants to open something is not
// here, so that it is refused when it is loaded.
var wasi = map[string]function{
	"args_get":          {wasiType(i32 + i32), nothing},
	"args_sizes_get":    {wasiType(i32 + i32), noStrings},
	"environ_get":       {wasiType(i32 + i32), nothing},
	"environ_sizes_get": {wasiType(i32 + i32), noStrings},
	"clock_res_get":     {wasiType(i32 + i32), clockResolution},
	"clock_time_get":    {wasiType(i32 + i64 + i32), clockTime},
	"fd_write":          {wasiType(i32 + i32 + i32 + i32), fdWrite},
	"fd_fdstat_get":     {wasiType(i32 + i32), fdStatus},
	"poll_oneoff":       {wasiType(i32 + i32 + i32 + i32), poll},
	"proc_exit":         {meter.Type{Params: i32}, exit},
	"random_get":        {wasiType(i32 + i32), random},
	"sched_yield":       {wasiType(""), nothing},

	"fd_close":             {wasiType(i32), noDescriptor},
	"fd_fdstat_set_flags":  {wasiType(i32 + i32), noDescriptor},
	"fd_filestat_get":      {wasiType(i32 + i32), noDescriptor},
	"fd_filestat_set_size": {wasiType(i32 + i64), noDescriptor},
	"fd_pread":             {wasiType(i32 + i32 + i32 + i64 + i32), noDescriptor},
	"fd_prestat_dir_name":  {wasiType(i32 + i32 + i32), noDescriptor},
	"fd_prestat_get":       {wasiType(i32 + i32), noDescriptor},
	"fd_pwrite":            {wasiType(i32 + i32 + i32 + i64 + i32), noDescriptor},
	"fd_read":              {wasiType(i32 + i32 + i32 + i32), noDescriptor},
	"fd_readdir":           {wasiType(i32 + i32 + i32 + i64 + i32), noDescriptor},
	"fd_seek":              {wasiType(i32 + i64 + i32 + i32), noDescriptor},
	"fd_sync":              {wasiType(i32), noDescriptor},
	"path_filestat_get":    {wasiType(i32 + i32 + i32 + i32 + i32), notCapable},
	"sock_accept":          {wasiType(i32 + i32 + i32), noDescriptor},
	"sock_shutdown":        {wasiType(i32 + i32), noDescriptor},
}

func wasiType(params string) meter.Type { return meter.Type{Params: params, Results: i32} }

func nothing(in *instance, _ memory, stack []uint64)      { in.done(stack, wasiSuccess) }
func noDescriptor(in *instance, _ memory, stack []uint64) { in.done(stack, wasiBadDescriptor) }
func notCapable(in *instance, _ memory, stack []uint64)   { in.done(stack, wasiNotCapable) }

// done ends a function of WASI with its error number.
func (in *instance) done(stack []uint64, errno uint64) {
	in.spend(1)
	stack[0] = errno
}

// noStrings says that there are no arguments or variables.
func noStrings(in *instance, m memory, stack []uint64) {
	m.write(stack[0], make([]byte, 4))
	m.write(stack[1], make([]byte, 4))
	in.done(stack, wasiSuccess)
}

// The clocks.
const (
	realClock      = 0
	monotonicClock = 1
)

func clockResolution(in *instance, m memory, stack []uint64) {
	if clock := api.DecodeU32(stack[0]); clock > monotonicClock {
		in.done(stack, wasiInvalid)
		return
	}
	m.write(stack[1], binary.LittleEndian.AppendUint64(nil, 1000))
	in.done(stack, wasiSuccess)
}

func clockTime(in *instance, m memory, stack []uint64) {
	now, ok := in.now(api.DecodeU32(stack[0]))
	if !ok {
		in.done(stack, wasiInvalid)
		return
	}
	m.write(stack[2], binary.LittleEndian.AppendUint64(nil, uint64(now))) //nolint:gosec // After 1970.
	in.done(stack, wasiSuccess)
}

// now is a clock's time in nanoseconds.
func (in *instance) now(clock uint32) (time.Duration, bool) {
	switch clock {
	case realClock:
		return time.Duration(time.Now().UnixNano()), true
	case monotonicClock:
		return time.Since(in.code.loaded), true
	}
	return 0, false
}

// fdWrite takes output: an array of pointers and lengths.
func fdWrite(in *instance, m memory, stack []uint64) {
	fd := api.DecodeU32(stack[0])
	if fd != 1 && fd != 2 {
		in.done(stack, wasiBadDescriptor)
		return
	}
	total := 0
	for i := range uint64(api.DecodeU32(stack[2])) {
		in.spend(1)
		entry := m.read(uint64(api.DecodeU32(stack[1]))+8*i, 8)
		part := m.read(uint64(binary.LittleEndian.Uint32(entry)), uint64(binary.LittleEndian.Uint32(entry[4:])))
		for len(part) > 0 {
			n := min(len(part), maxLine)
			in.spend(10 + n>>3)
			in.print(&in.output[fd-1], part[:n])
			part, total = part[n:], total+n
		}
	}
	m.write(stack[3], binary.LittleEndian.AppendUint32(nil, uint32(total))) //nolint:gosec // Cut off as the guest would.
	in.done(stack, wasiSuccess)
}

// fdStatus says that standard input, output and error are like a terminal.
func fdStatus(in *instance, m memory, stack []uint64) {
	if api.DecodeU32(stack[0]) > 2 {
		in.done(stack, wasiBadDescriptor)
		return
	}
	const characterDevice = 2
	m.write(stack[1], append([]byte{characterDevice}, make([]byte, 23)...))
	in.done(stack, wasiSuccess)
}

// exit ends a program: Go and Rust do that after a panic.
func exit(in *instance, _ memory, stack []uint64) {
	in.abort(fmt.Errorf("exited with code %d", api.DecodeU32(stack[0])))
}

// random fills memory, in pieces, so that the deadline holds.
func random(in *instance, m memory, stack []uint64) {
	b := m.read(stack[0], stack[1])
	for len(b) > 0 {
		n := min(len(b), 4096)
		in.spend(1 + n>>5)
		rand.Read(b[:n]) //nolint:errcheck // It never returns an error.
		b = b[n:]
	}
	in.done(stack, wasiSuccess)
}

// poll waits for clocks, which is how programs sleep. Anything else is not supported.
func poll(in *instance, m memory, stack []uint64) {
	const (
		subscriptionSize = 48
		eventSize        = 32
		clockEvent       = 0
		absoluteTime     = 1
		maxSubscriptions = 16
	)
	count := api.DecodeU32(stack[2])
	if count == 0 || count > maxSubscriptions {
		in.done(stack, wasiInvalid)
		return
	}
	subscriptions := append([]byte(nil), m.read(stack[0], uint64(count)*subscriptionSize)...)
	var least time.Duration
	var first []byte
	for s := subscriptions; len(s) > 0; s = s[subscriptionSize:] {
		if s[8] != clockEvent {
			in.done(stack, wasiNotSupported)
			return
		}
		now, ok := in.now(binary.LittleEndian.Uint32(s[16:]))
		if !ok {
			in.done(stack, wasiInvalid)
			return
		}
		wait := time.Duration(min(binary.LittleEndian.Uint64(s[24:]), 1<<62)) //nolint:gosec // Cut to fit.
		if s[40]&absoluteTime != 0 {
			wait -= now
		}
		if first == nil || wait < least {
			least, first = wait, s
		}
	}
	in.sleep(least)
	e := make([]byte, eventSize)
	copy(e, first[:8]) // What the guest calls it.
	m.write(stack[1], e)
	m.write(stack[3], binary.LittleEndian.AppendUint32(nil, 1))
	in.done(stack, wasiSuccess)
}

// sleep waits, but not beyond the deadline.
func (in *instance) sleep(d time.Duration) {
	in.check() // Makes a deadline when there is none.
	if d <= 0 {
		return
	}
	left := time.Until(in.deadline)
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	<-timer.C
	in.stood.Begin(time.Now()) // It has slept as it wanted to: that is no standstill.
	if d >= left {
		in.abort(context.DeadlineExceeded)
	}
}
