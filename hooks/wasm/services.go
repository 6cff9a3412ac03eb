package wasm

import (
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm/meter"
)

// failed is what a function of the server returns when it could not do what it was asked for; the first result then says why.
const failed = -2

// withServices adds the functions of the server to those of the runtime.
func withServices(functions map[string]function) map[string]function {
	for _, f := range host.Functions() {
		t := meter.Type{Results: i32}
		for _, p := range f.Params {
			t.Params += paramType(p.Type)
		}
		functions[f.Name] = function{t, func(in *instance, m memory, stack []uint64) { in.serve(f, m, stack) }}
	}
	return functions
}

// paramType is how a parameter comes: numbers as they are, everything else as an address and a length.
func paramType(t host.Type) string {
	switch t {
	case host.Int, host.Duration:
		return i64
	case host.Bool:
		return i32
	}
	return i32 + i32
}

// serve calls a function of the server. It returns the length of the first result, 0 when it has none, absent or failed.
func (in *instance) serve(f *host.Function, m memory, stack []uint64) {
	in.check() // It may wait, and what it costs nobody has counted.
	c := &in.call
	c.Hook, c.Deadline = in.hook, in.deadline
	i, size := 0, 0
	for n, p := range f.Params {
		switch paramType(p.Type) {
		case i64:
			c.Args[n] = host.Value{Int: int64(stack[i])} //nolint:gosec // The bits stay the same.
			i++
		case i32:
			c.Args[n] = host.Value{Int: int64(api.DecodeI32(stack[i]))}
			i++
		default:
			b := m.read(stack[i], stack[i+1])
			b = b[:min(len(b), maxValue+1)] // Which is refused as too long everywhere.
			c.Args[n] = host.Value{Text: string(b)}
			size += len(b)
			i += 2
		}
	}
	in.spendBytes(size)
	in.called = f
	err := in.code.host.Call(f, c)
	c.Args = [host.MaxParams]host.Value{} // They may be long.
	why, isFailure := errors.AsType[host.Failure](err)
	switch {
	case err == nil:
		v, _ := in.resultOf(0)
		stack[0] = uint64(len(v.text) + len(v.bytes))
	case errors.Is(err, host.ErrAbsent):
		in.called = nil
		stack[0] = api.EncodeI32(absent)
	case isFailure:
		in.called = failure
		c.Results[0] = host.Value{Text: string(why)}
		stack[0] = api.EncodeI32(failed)
	default:
		in.abort(err)
	}
}

// failure has the result of a function that could not do what it was asked for.
var failure = &host.Function{Results: []host.Param{{Name: "reason", Type: host.Text}}}

// result(index, ptr, cap) -> len copies a result of the last call to ptr if it fits into cap bytes.
func result(in *instance, m memory, stack []uint64) {
	v, known := in.resultOf(int(api.DecodeI32(stack[0])))
	in.hand(m, v, known, stack)
}

// resultOf is a result of the last call, in the form of a field's value.
func (in *instance) resultOf(i int) (v value, known bool) {
	if in.called == nil || i < 0 || i >= len(in.called.Results) {
		return value{}, false
	}
	r := in.call.Results[i]
	switch in.called.Results[i].Type {
	case host.Int, host.Duration:
		return in.integer(r.Int), true
	case host.Bool:
		return in.boolean(r.Int != 0), true
	}
	return value{text: r.Text}, true
}

// forget drops what the functions of the server have returned.
func (in *instance) forget() {
	if in.called != nil {
		in.called, in.call.Results = nil, [host.MaxResults]host.Value{}
	}
}
