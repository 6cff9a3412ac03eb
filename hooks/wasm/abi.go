package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm/meter"
)

// The modules that plugins import from.
const (
	abiModule  = "hook_v1"
	wasiModule = "wasi_snapshot_preview1"
)

// What get returns instead of a length, and set instead of 0.
const (
	absent    = -1 // get: the field has no value.
	unknown   = -2 // There is no such field in this hook, or not to be written.
	malformed = -3 // set: the value is not of the field's type.
)

// What set and reject take.
const (
	maxValue = 1 << 20  // Bytes.
	maxJSON  = 64 << 10 // Bytes of JSON that the server reads itself: tags, subscriptions and grants.
	maxAdded = 1000     // Subscriptions, and grants, of one event.
)

// function is a host function. The stack holds its parameters, and at the end its result.
type function struct {
	typ  meter.Type
	call func(in *instance, memory memory, stack []uint64)
}

const (
	i32 = meter.I32
	i64 = "\x7e"
)

// offers is everything a module may import.
var offers = map[string]map[string]function{
	abiModule: withServices(map[string]function{
		"get":    {meter.Type{Params: i32 + i32 + i32, Results: i32}, get},
		"set":    {meter.Type{Params: i32 + i32 + i32, Results: i32}, set},
		"reject": {meter.Type{Params: i32 + i32 + i32}, reject},
		"log":    {meter.Type{Params: i32 + i32 + i32}, log},
		"now_ms": {meter.Type{Results: i64}, nowMillis},
		"result": {meter.Type{Params: i32 + i32 + i32, Results: i32}, result},
	}),
	wasiModule: wasi,
}

// offer makes the host functions, and those of the meter.
func offer(ctx context.Context, r wazero.Runtime) error {
	all := maps.Clone(offers)
	all[meter.HostModule] = map[string]function{
		meter.TickFunction: {meter.Type{Results: i32}, func(in *instance, _ memory, stack []uint64) {
			in.check()
			stack[0] = meter.SliceUnits
		}},
		meter.DeepFunction: {meter.Type{}, func(in *instance, _ memory, _ []uint64) {
			in.abort(errors.New("its functions call each other too deep"))
		}},
	}
	for module, functions := range all {
		b := r.NewHostModuleBuilder(module)
		for name, f := range functions {
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				in := ctx.(*instance)
				f.call(in, memory{in, m.Memory()}, stack)
			}), []api.ValueType(f.typ.Params), []api.ValueType(f.typ.Results)).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// memory is the guest's memory. What lies outside of it ends the call.
type memory struct {
	in *instance
	api.Memory
}

func (m memory) read(offset, length uint64) []byte {
	b, ok := m.Read(uint32(offset), uint32(length)) //nolint:gosec // Both are i32 of the guest.
	if !ok {
		m.outside(offset, length)
	}
	return b
}

func (m memory) write(offset uint64, b []byte) {
	if !m.Write(uint32(offset), b) { //nolint:gosec // An i32 of the guest.
		m.outside(offset, uint64(len(b)))
	}
}

func (m memory) outside(offset, length uint64) {
	m.in.abort(fmt.Errorf("handed over %d bytes at %d, which is not within its memory of %d", uint32(length), uint32(offset), m.Size())) //nolint:gosec // As above.
}

// get(field, ptr, cap) -> len copies a field to ptr if it fits into cap bytes.
func get(in *instance, m memory, stack []uint64) {
	v, known := in.value(host.Field(api.DecodeI32(stack[0])))
	in.hand(m, v, known, stack)
}

// hand copies a value to where the second and third parameter say, if it fits, and returns its length.
func (in *instance) hand(m memory, v value, known bool, stack []uint64) {
	n := len(v.text) + len(v.bytes)
	in.spendBytes(n)
	switch {
	case !known:
		stack[0] = api.EncodeI32(unknown)
		return
	case v.absent:
		stack[0] = api.EncodeI32(absent)
		return
	case n > int(api.DecodeI32(stack[2])):
	case v.text != "":
		if !m.WriteString(uint32(stack[1]), v.text) { //nolint:gosec // An i32 of the guest.
			m.outside(stack[1], uint64(n))
		}
	default:
		m.write(stack[1], v.bytes)
	}
	stack[0] = uint64(n)
}

// value reads a field.
func (in *instance) value(f host.Field) (v value, known bool) {
	if f == host.FieldConfig {
		return value{bytes: in.code.config}, true
	}
	if in.event == nil {
		return value{}, false
	}
	if v, known = in.event.get(in, f); known {
		return v, true
	}
	c := in.event.client()
	if c == nil {
		return value{}, false
	}
	return in.clientField(c, f)
}

// set(field, ptr, len) -> status writes a field.
func set(in *instance, m memory, stack []uint64) {
	b := m.read(stack[1], stack[2])
	in.spendBytes(len(b))
	f := host.Field(api.DecodeI32(stack[0]))
	if f == host.FieldTags || f == host.FieldSubscription || f == host.FieldGrant {
		in.spend(10 + min(len(b), maxJSON)>>3) // It is read as JSON.
	}
	var status int32
	switch err := in.write(f, b); {
	case errors.Is(err, errNotWritable):
		status, in.refused = unknown, refusal{f, err}
	case err != nil:
		status, in.refused = malformed, refusal{f, err}
	}
	stack[0] = api.EncodeI32(status)
}

func (in *instance) write(f host.Field, b []byte) error {
	switch {
	case in.event == nil:
		return errNotWritable
	case len(b) > maxValue:
		return fmt.Errorf("longer than %d bytes", maxValue)
	case f == host.FieldHeader && in.event.client() != nil:
		in.header = string(b)
		return nil
	}
	return in.event.set(f, b)
}

var errNotWritable = errors.New("not a field that can be written here")

// refusal is why a field was not written. Most are never read, so that the text is made late.
type refusal struct {
	field host.Field
	cause error
}

func (r refusal) Error() string {
	for _, f := range host.Fields() {
		if f.Field == r.field {
			return "set " + f.Name + ": " + r.cause.Error()
		}
	}
	return fmt.Sprintf("set field %d: %v", r.field, r.cause)
}

func (r refusal) Unwrap() error { return r.cause }

// reject(code, ptr, len) says with which code, 0 for the usual one, and sentence the call will deny.
func reject(in *instance, m memory, stack []uint64) {
	b := m.read(stack[1], stack[2])
	in.spendBytes(len(b))
	if len(b) > maxValue {
		in.abort(fmt.Errorf("the reason is longer than %d bytes", maxValue))
	}
	in.rejected = true
	in.denial = hooks.Answer{Verdict: hooks.Deny, Code: api.DecodeU32(stack[0]), Reason: strings.ToValidUTF8(string(b), "\ufffd")}
}

// logLevels are the levels of log, by their numbers.
var logLevels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// log(level, ptr, len) writes a line to the server's log.
func log(in *instance, m memory, stack []uint64) {
	b := m.read(stack[1], stack[2])
	level := api.DecodeI32(stack[0])
	if level < 0 || int(level) >= len(logLevels) {
		in.abort(fmt.Errorf("log level %d; there are 0 debug, 1 info, 2 warn, 3 error", level))
	}
	b = b[:min(len(b), maxLine+1)] // The log breaks it off there, and says so.
	in.spend(10 + len(b)>>10)
	in.code.log.Write(logLevels[level], string(b))
}

// nowMillis() -> i64 is the time in milliseconds since 1970.
func nowMillis(in *instance, _ memory, stack []uint64) {
	in.spend(1)
	stack[0] = uint64(time.Now().UnixMilli()) //nolint:gosec // After 1970.
}
