package meter_test

import (
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/zenconn/server/hooks/wasm/meter"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
)

// BenchmarkRun is what metering costs where it costs most: a loop with nothing but a byte written, and functions with nothing but calls.
func BenchmarkRun(b *testing.B) {
	for name, build := range map[string]func(m *wasmtest.Module) int{
		"loop": func(m *wasmtest.Module) int { // A thousand bytes.
			return m.Function(nil, wasmtest.Values(i32), wasmtest.Values(i32), 0x03, 0x40, wasmtest.Get(0), wasmtest.Get(0), 0x3a, 0, 0,
				wasmtest.Get(0), wasmtest.Const(1), 0x6a, 0x22, 0, wasmtest.Const(1000), 0x49, 0x0d, 0, 0x0b, wasmtest.Const(0))
		},
		"calls": func(m *wasmtest.Module) int { // A thousand and twenty-four leaves.
			f := m.Function(nil, nil, nil)
			for range 10 {
				f = m.Function(nil, nil, nil, wasmtest.Call(f), wasmtest.Call(f))
			}
			return m.Function(nil, wasmtest.Values(i32), nil, wasmtest.Call(f), wasmtest.Const(0))
		},
	} {
		m := &wasmtest.Module{}
		m.Memory(1, 1)
		m.Export("f", 0, build(m))
		for _, metered := range []bool{false, true} {
			binary, kind := m.Bytes(), "plain"
			if metered {
				binary, kind = instrument(b, binary), "metered"
			}
			b.Run(name+"/"+kind, func(b *testing.B) {
				in, err := newHost(b).runtime.InstantiateWithConfig(b.Context(), binary, wazero.NewModuleConfig().WithName(""))
				if err != nil {
					b.Fatal(err)
				}
				f, ctx, stack := in.ExportedFunction("f"), b.Context(), make([]uint64, 1)
				for b.Loop() {
					if err := f.CallWithStack(ctx, stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkInstrument is the metering itself.
func BenchmarkInstrument(b *testing.B) {
	binary := generate(4)
	b.SetBytes(int64(len(binary)))
	for b.Loop() {
		if _, err := meter.Instrument(binary, 256); err != nil {
			b.Fatal(err)
		}
	}
}
