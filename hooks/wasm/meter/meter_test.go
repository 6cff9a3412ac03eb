package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/zenconn/server/hooks/wasm/meter"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
	"github.com/zenconn/server/internal/testenv"
)

var (
	errTime = errors.New("out of time")
	errDeep = errors.New("too deep")
)

// host is a runtime with what generated and metered modules import.
type host struct {
	runtime wazero.Runtime
	notes   []uint32
	ticks   int
	most    int // Ticks allowed; 0: any number.
}

func newHost(t testing.TB) *host {
	h := &host{runtime: wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2))}
	t.Cleanup(func() { h.runtime.Close(context.Background()) })
	one := []api.ValueType{api.ValueTypeI32}
	note := func(_ context.Context, _ api.Module, stack []uint64) {
		h.notes = append(h.notes, api.DecodeU32(stack[0]))
		stack[0] = uint64(len(h.notes))
	}
	tick := func(_ context.Context, _ api.Module, stack []uint64) {
		if h.ticks++; h.most > 0 && h.ticks > h.most {
			panic(errTime)
		}
		stack[0] = meter.SliceUnits
	}
	deep := func(context.Context, api.Module, []uint64) { panic(errDeep) }
	env := h.runtime.NewHostModuleBuilder("env")
	env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(note), one, one).Export("note")
	own := h.runtime.NewHostModuleBuilder(meter.HostModule)
	own.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), nil, one).Export(meter.TickFunction)
	own.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(deep), nil, nil).Export(meter.DeepFunction)
	for _, b := range []wazero.HostModuleBuilder{env, own} {
		if _, err := b.Instantiate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// behaviour runs a module and writes down everything that can be seen of it.
func (h *host) behaviour(t testing.TB, binary []byte) string {
	h.notes = nil
	var seen bytes.Buffer
	m, err := h.runtime.InstantiateWithConfig(t.Context(), binary, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return firstLine(err)
	}
	defer m.Close(t.Context()) //nolint:errcheck // Nothing is asserted about it here.
	for i := 0; ; i++ {
		f := m.ExportedFunction(fmt.Sprintf("f%d", i))
		if f == nil {
			break
		}
		for _, args := range [][]uint64{{0, 0}, {1, 1 << 40}, {77, 5}} {
			results, err := f.Call(t.Context(), args...)
			fmt.Fprintf(&seen, "f%d%v = %x %s\n", i, args, results, firstLine(err))
		}
	}
	if memory := m.Memory(); memory != nil {
		content, _ := memory.Read(0, memory.Size())
		fmt.Fprintf(&seen, "notes %d memory %d %x", h.notes, len(content), bytes.TrimRight(content, "\x00"))
	}
	return seen.String()
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func instrument(t testing.TB, binary []byte) []byte {
	t.Helper()
	m, err := meter.Instrument(binary, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	return m.Binary
}

func checkSameBehaviour(t testing.TB, seed uint64) {
	binary := generate(seed)
	h := newHost(t)
	want := h.behaviour(t, binary)
	if strings.Contains(want, "invalid") || strings.Contains(want, "section") {
		t.Fatalf("seed %d: the generator made a module that is not valid: %s", seed, want)
	}
	if got := h.behaviour(t, instrument(t, binary)); got != want {
		t.Errorf("seed %d: metered\n%s\nwant\n%s", seed, got, want)
	}
}

func TestSameBehaviour(t *testing.T) {
	for seed := range uint64(60) {
		checkSameBehaviour(t, seed)
	}
}

func FuzzSameBehaviour(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkSameBehaviour(t, seed) })
}

// FuzzInstrument feeds anything. What the runtime accepts and the meter does too must be accepted afterwards.
func FuzzInstrument(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(generate(seed))
	}
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, binary []byte) {
		m, err := meter.Instrument(binary, 1<<16)
		if err != nil {
			return
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
		defer r.Close(t.Context()) //nolint:errcheck // Nothing is asserted about it here.
		if _, err := r.CompileModule(t.Context(), binary); err != nil {
			return
		}
		if _, err := r.CompileModule(t.Context(), m.Binary); err != nil {
			t.Errorf("valid before and not after: %v", err)
		}
	})
}

func TestOutputValidates(t *testing.T) {
	tool, err := exec.LookPath("wasm-validate")
	if err != nil {
		testenv.Skip(t, "wasm-validate is not installed (Debian: apt-get install wabt)")
	}
	dir := t.TempDir()
	for seed := range uint64(20) {
		file := filepath.Join(dir, fmt.Sprintf("%d.wasm", seed))
		if err := os.WriteFile(file, instrument(t, generate(seed)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), tool, file).CombinedOutput(); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, out)
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	binary := generate(3)
	whole := instrument(t, binary)
	for n := range binary {
		m, err := meter.Instrument(binary[:n], 1<<16)
		if err == nil && bytes.Equal(m.Binary, whole) {
			t.Fatalf("%d of %d bytes are the whole module", n, len(binary))
		}
	}
}

func run(t *testing.T, h *host, m *wasmtest.Module) error {
	t.Helper()
	in, err := h.runtime.InstantiateWithConfig(t.Context(), instrument(t, m.Bytes()), wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return err
	}
	_, err = in.ExportedFunction("f").Call(t.Context())
	return err
}

func TestWhatNeverEndsTicks(t *testing.T) {
	for _, tt := range []struct {
		name string
		want error
		make func(m *wasmtest.Module)
	}{
		{"an empty loop", errTime, func(m *wasmtest.Module) { m.Hook("f", 0x03, 0x40, 0x0c, 0, 0x0b, 0x00) }},
		{"a loop with a parameter", errTime, func(m *wasmtest.Module) {
			turn := m.Type(wasmtest.Values(i32), wasmtest.Values(i32))
			m.Hook("f", wasmtest.Const(1), 0x03, turn, 0x0c, 0, 0x0b)
		}},
		{"calls that double", errTime, func(m *wasmtest.Module) {
			f := m.Function(nil, nil, nil)
			for range 60 {
				f = m.Function(nil, nil, nil, wasmtest.Call(f), wasmtest.Call(f))
			}
			m.Hook("f", wasmtest.Call(f), wasmtest.Const(0))
		}},
		{"a function that calls itself for ever", errDeep, func(m *wasmtest.Module) { m.Hook("f", wasmtest.Call(0)) }},
		{"functions that call each other through a table", errDeep, func(m *wasmtest.Module) {
			m.Hook("f", wasmtest.Const(1), 0x11, 0, 0)
			m.FunctionOf(0, nil, wasmtest.Const(0), 0x11, 0, 0)
			m.Table(0, 1)
		}},
		{"filling memory again and again", errTime, func(m *wasmtest.Module) {
			m.Memory(16, 16)
			fill := wasmtest.Code(wasmtest.Const(0), wasmtest.Const(0), wasmtest.Const(1<<20), 0xfc, 11, 0)
			m.Hook("f", bytes.Repeat(fill, 200), wasmtest.Const(0))
		}},
		{"a start function", errTime, func(m *wasmtest.Module) {
			m.Hook("f", wasmtest.Const(0))
			m.Start(m.Function(nil, nil, nil, 0x03, 0x40, 0x0c, 0, 0x0b))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.most = 100
			m := &wasmtest.Module{}
			tt.make(m)
			if err := run(t, h, m); !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
		})
	}
}

// What was taken from the stack is given back on every way out of a function.
func TestStackIsGivenBack(t *testing.T) {
	m := &wasmtest.Module{}
	leaf := m.Function(nil, nil, nil)
	ways := []int{
		m.Function(nil, nil, nil, wasmtest.Call(leaf)),
		m.Function(nil, nil, nil, wasmtest.Call(leaf), 0x0f),
		m.Function(nil, nil, nil, wasmtest.Call(leaf), 0x0c, 0),
		m.Function(nil, nil, nil, wasmtest.Call(leaf), 0x02, 0x40, 0x03, 0x40, wasmtest.Const(1), 0x04, 0x40, 0x0f, 0x0b, 0x0b, 0x0b),
		m.Function(nil, nil, nil, wasmtest.Call(leaf), 0x02, 0x40, wasmtest.Const(1), 0x0d, 1, 0x0b, 0x00),
		m.Function(nil, nil, nil, wasmtest.Call(leaf), 0x02, 0x40, wasmtest.Const(9), 0x0e, 1, 0, 1, 0x0b, 0x00),
	}
	turn := []byte{}
	for _, f := range ways {
		turn = append(turn, wasmtest.Call(f)...)
	}
	pair := m.Function(nil, wasmtest.Values(i32, i64), nil, wasmtest.Call(leaf), wasmtest.Const(1), wasmtest.Const64(2), 0x0f)
	turn = append(turn, wasmtest.Code(wasmtest.Call(pair), 0x1a, 0x1a)...)
	// Far more turns than the stack has room for, if anything of a turn stayed.
	f := m.Function(nil, wasmtest.Values(i32), wasmtest.Values(i32), 0x03, 0x40, turn,
		wasmtest.Get(0), wasmtest.Const(1), 0x6a, 0x22, 0, wasmtest.Const(2*meter.MaxStack/64), 0x49, 0x0d, 0, 0x0b, wasmtest.Const(0))
	m.Export("f", 0, f)
	if err := run(t, newHost(t), m); err != nil {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	module := func(build func(m *wasmtest.Module)) []byte {
		m := &wasmtest.Module{}
		build(m)
		return m.Bytes()
	}
	instruction := func(code ...any) []byte {
		return module(func(m *wasmtest.Module) { m.Memory(1, 1); m.Hook("f", code...) })
	}
	for _, tt := range []struct {
		name   string
		binary []byte
		want   string
	}{
		{"nothing", nil, "no WebAssembly module"},
		{"text", []byte("(module (func))"), "no WebAssembly module"},
		{"another version", []byte("\x00asm\x02\x00\x00\x00"), "version 2"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"atomics", instruction(0xfe, 0x03, 0), "threads (atomics) are not supported"},
		{"a tail call", instruction(0x12, 0), "tail calls are not supported"},
		{"exceptions", instruction(0x06, 0x40, 0x0b), "exceptions are not supported"},
		{"exceptions, new", instruction(0x1f, 0x40, 0, 0x0b), "exceptions are not supported"},
		{"a section of tags", []byte("\x00asm\x01\x00\x00\x00\x0d\x00"), "exceptions are not supported"},
		{"references of the collector", instruction(0xfb, 0), "garbage-collected types are not supported"},
		{"relaxed vectors", instruction(0xfd, 0x80, 0x02), "relaxed vector instruction 256"},
		{"an unknown instruction", instruction(0xff), "instruction 0xff is not supported"},
		{"an unknown instruction after fc", instruction(0xfc, 18), "instruction 0xfc 18"},
		{"several memories", module(func(m *wasmtest.Module) { m.Memory(1, 1); m.Memory(1, 1) }), "2 memories; the most are 1"},
		{"a load from another memory", instruction(wasmtest.Const(0), 0x28, 0x42, 1, 0), "several memories"},
		{"growing another memory", instruction(wasmtest.Const(0), 0x40, 1), "several memories"},
		{"shared memory", []byte("\x00asm\x01\x00\x00\x00\x05\x04\x01\x03\x01\x01"), "shared or has 64-bit addresses"},
		{"64-bit memory", []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x04\x01"), "shared or has 64-bit addresses"},
		{"an imported memory", module(func(m *wasmtest.Module) { m.ImportRaw("env", "memory", []byte{2, 0, 1}) }),
			"env.memory is an imported memory; only functions can be imported"},
		{"an imported global", module(func(m *wasmtest.Module) { m.ImportRaw("env", "g", []byte{3, i32, 0}) }), "imported global"},
		{"a large table", []byte("\x00asm\x01\x00\x00\x00\x04\x07\x01\x70\x00\x80\x80\x80\x01"), "a table of 2097152 elements"},
		{"sections twice", []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01\x05\x03\x01\x00\x01"), "section 5 stands twice"},
		{"sections out of order", []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01\x01\x01\x00"), "section 1 stands twice or in the wrong place"},
		{"a function without a body", []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00"), "1 functions and 0 bodies"},
		{"a structure type", []byte("\x00asm\x01\x00\x00\x00\x01\x02\x01\x5f"), "type 0x5f is not supported"},
		{"a huge count", []byte("\x00asm\x01\x00\x00\x00\x01\x05\xff\xff\xff\xff\x0f"), "types; the most are"},
		{"a number without end", []byte("\x00asm\x01\x00\x00\x00\x01\x06\xff\xff\xff\xff\xff\x0f"), "a number is too large"},
		{"many locals", []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b"),
			"4294967295 local variables"},
		{"a body that goes on after its end", instruction(wasmtest.Const(0), 0x0b, 0x01), "longer than its content"},
		{"a body without an end", []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x05\x01\x03\x00\x01\x01"),
			"ends in the middle"},
		{"writing the meter's work", instruction(wasmtest.Const(1), 0x24, 0, wasmtest.Const(0)), "there is no global variable 0"},
		{"reading the meter's work", instruction(0x23, 1), "there is no global variable 1"},
		{"writing the meter's local variable", instruction(wasmtest.Const(1), 0x22, 0), "there is no local variable 0"},
		{"beginning with the meter's work", module(func(m *wasmtest.Module) { m.Global(i32, []byte{0x23, 1}) }), "there is no global variable 1"},
		{"exporting the meter's work", module(func(m *wasmtest.Module) { m.Export("g", 3, 0) }), "there is no global variable 0 to export"},
		{"exporting the meter's function", module(func(m *wasmtest.Module) { m.Export("f", 0, 0) }), "there is no function 0 to export"},
		{"a long function", instruction(bytes.Repeat([]byte{0x01}, 1<<20), wasmtest.Const(0)), "a function of 1048580 bytes"},
		{"many loops", instruction(bytes.Repeat([]byte{0x03, 0x40, 0x0b}, 1001), wasmtest.Const(0)), "more than 1000 loops in a function"},
		{"deep nesting", instruction(bytes.Repeat([]byte{0x02, 0x40}, 20001), bytes.Repeat([]byte{0x0b}, 20001)), "blocks within blocks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := meter.Instrument(tt.binary, 1<<16); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTablesStaySmall(t *testing.T) {
	m := &wasmtest.Module{}
	m.Hook("f", 0xd0, 0x70, wasmtest.Const(1<<20), 0xfc, 15, 0) // table.grow
	m.Table(0)
	h := newHost(t)
	in, err := h.runtime.Instantiate(t.Context(), instrument(t, m.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if grown, err := in.ExportedFunction("f").Call(t.Context()); err != nil || api.DecodeI32(grown[0]) != -1 {
		t.Errorf("a table grew to a million elements: %v, %v", grown, err)
	}
}

func TestDescribesTheModule(t *testing.T) {
	m := &wasmtest.Module{}
	m.Import("env", "note", wasmtest.Values(i32), wasmtest.Values(i32))
	m.Memory(3, -1)
	m.Export("add", 0, m.Function(wasmtest.Values(i32, i64), wasmtest.Values(f64), nil, wasmtest.ConstF64(1)))
	got, err := meter.Instrument(m.Bytes(), 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if want := []meter.Import{{"env", "note", meter.Type{Params: meter.I32, Results: meter.I32}}}; !slices.Equal(got.Imports, want) {
		t.Errorf("imports %v", got.Imports)
	}
	if got.Memory != (meter.Memory{Defined: true, Min: 3}) {
		t.Errorf("memory %+v", got.Memory)
	}
	if len(got.Exports) != 2 || got.Exports[0].Kind.String() != "memory" || got.Exports[1].Type.String() != "(i32, i64) -> (f64)" {
		t.Errorf("exports %v", got.Exports)
	}
}
