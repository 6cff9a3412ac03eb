package meter_test

import (
	"math/rand/v2"

	"github.com/zenconn/server/hooks/wasm/wasmtest"
)

const (
	i32 = wasmtest.I32
	i64 = wasmtest.I64
	f64 = wasmtest.F64
)

// generator makes random modules that are valid and end: every turn of a loop takes from a budget.
type generator struct {
	*rand.Rand
	m         *wasmtest.Module
	note      int   // The imported function, (i32) -> i32.
	functions []int // Of the type (i32, i64) -> i64, which may be called.
	pairs     []int // Of the type (i32) -> (i32, i64).
	common    int   // The type of functions.
	result    []byte
	blocks    []bool // Around the current place, the innermost last: whether a branch there is harmless.
}

// Locals of every generated function: the two parameters (of pairs the second is a local), then three of each type.
var (
	localTypes = []byte{i32, i64, i32, i32, i32, i64, i64, f64, f64}
	localsOf   = map[byte][]int{i32: {0, 2, 3, 4}, i64: {1, 5, 6}, f64: {7, 8}}
)

const budget = 4000

// generate makes a module that exports f0, f1, … (i32, i64) -> i64 and a memory.
func generate(seed uint64) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), m: &wasmtest.Module{}}
	g.note = g.m.Import("env", "note", wasmtest.Values(i32), wasmtest.Values(i32))
	g.m.Memory(1, 4)
	g.m.Data(100, "some bytes to start with")
	for range 3 {
		g.m.Global(i32, wasmtest.Const(budget))
	}
	g.common = g.m.Type(wasmtest.Values(i32, i64), wasmtest.Values(i64))
	pair := g.m.Type(wasmtest.Values(i32), wasmtest.Values(i32, i64))
	for i := range 2 + g.IntN(4) {
		if i%2 == 1 {
			g.result = wasmtest.Values(i32, i64)
			g.pairs = append(g.pairs, g.m.FunctionOf(pair, localTypes[1:], g.body()))
		}
		g.result = wasmtest.Values(i64)
		f := g.m.FunctionOf(g.common, localTypes[2:], g.body())
		g.functions = append(g.functions, f)
		g.m.Export("f"+string(rune('0'+i)), 0, f)
	}
	g.m.Table(g.functions...)
	if g.IntN(3) == 0 {
		g.m.Start(g.m.Function(nil, nil, nil, wasmtest.Const(7), wasmtest.Call(g.note), 0x1a))
	}
	return g.m.Bytes()
}

func (g *generator) body() []byte {
	g.blocks = g.blocks[:0]
	code := g.statements(4)
	for _, t := range g.result {
		code = append(code, g.value(t, 3)...)
	}
	return code
}

func (g *generator) statements(depth int) []byte {
	var code []byte
	for range 1 + g.IntN(3) {
		code = append(code, g.statement(depth)...)
	}
	return code
}

func (g *generator) within(harmless bool, inner func() []byte) []byte {
	g.blocks = append(g.blocks, harmless)
	code := inner()
	g.blocks = g.blocks[:len(g.blocks)-1]
	return code
}

func (g *generator) local(t byte) int { return localsOf[t][g.IntN(len(localsOf[t]))] }

func (g *generator) anyType() byte { return []byte{i32, i64, f64}[g.IntN(3)] }

func (g *generator) statement(depth int) []byte {
	c := wasmtest.Code
	if depth == 0 {
		t := g.anyType()
		return c(g.value(t, 0), wasmtest.Set(g.local(t)))
	}
	switch g.IntN(13) {
	case 0: // A loop, with an end.
		inner := g.within(false, func() []byte { return g.statements(depth - 1) })
		return c(0x03, 0x40,
			0x23, 0, wasmtest.Const(1), 0x6b, 0x24, 0, // The budget gets smaller.
			inner,
			0x23, 0, wasmtest.Const(0), 0x4a, g.value(i32, 1), 0x71, 0x0d, 0, // Again, while there is some and it wants to.
			0x0b)
	case 1:
		inner := func() []byte { return g.statements(depth - 1) }
		return c(g.value(i32, depth-1), 0x04, 0x40, g.within(true, inner), 0x05, g.within(true, inner), 0x0b)
	case 2:
		return c(0x02, 0x40, g.within(true, func() []byte { return g.statements(depth - 1) }), 0x0b)
	case 3: // Leaving a block, sometimes.
		if n := len(g.blocks); n > 0 {
			if target := g.IntN(n); g.blocks[n-1-target] {
				return c(g.value(i32, 1), 0x0d, target)
			}
		}
		return g.statement(depth - 1)
	case 4: // Leaving the function, sometimes.
		code := c(g.value(i32, 1), 0x04, 0x40)
		for _, t := range g.result {
			code = append(code, g.value(t, 1)...)
		}
		return c(code, 0x0f, 0x0b)
	case 5:
		return c(g.address(), g.value(i32, 2), 0x36, 2, 4)
	case 6:
		return c(g.value(i32, 2), 0x24, 1+g.IntN(2))
	case 7: // Filling and copying.
		length := c(g.value(i32, 1), wasmtest.Const(1023), 0x71)
		if g.IntN(2) == 0 {
			return c(g.address(), g.value(i32, 1), length, 0xfc, 11, 0)
		}
		return c(g.address(), g.address(), length, 0xfc, 10, 0, 0)
	case 8:
		if len(g.pairs) > 0 {
			pair := g.pairs[g.IntN(len(g.pairs))]
			return c(g.value(i32, 2), wasmtest.Call(pair), wasmtest.Set(g.local(i64)), wasmtest.Set(g.local(i32)))
		}
		return g.statement(depth - 1)
	case 9: // A branch table out of two blocks.
		return c(0x02, 0x40, 0x02, 0x40, g.value(i32, 1), 0x0e, 1, 0, 1, 0x0b, g.statement(0), 0x0b)
	case 10: // A trap, rarely.
		return c(g.value(i32, 2), wasmtest.Const(4095), 0x71, wasmtest.Const(5), 0x46, 0x04, 0x40, 0x00, 0x0b)
	case 11: // A loop with a parameter and code that is never reached.
		return c(0x02, 0x40, 0x0c, 0, wasmtest.Const(1), 0x1a, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b)
	}
	t := g.anyType()
	return c(g.value(t, depth-1), wasmtest.Set(g.local(t)))
}

// address is somewhere in the first page, now and then beyond all of them.
func (g *generator) address() []byte {
	if g.IntN(60) == 0 {
		return wasmtest.Const(1 << 20)
	}
	return wasmtest.Code(g.value(i32, 1), wasmtest.Const(0xfff0), 0x71)
}

func (g *generator) value(t byte, depth int) []byte {
	if depth > 0 && g.IntN(4) > 0 {
		switch t {
		case i32:
			return g.value32(depth - 1)
		case i64:
			return g.value64(depth - 1)
		default:
			return g.valueFloat(depth - 1)
		}
	}
	if g.IntN(2) == 0 {
		return wasmtest.Get(g.local(t))
	}
	switch t {
	case i32:
		return wasmtest.Const(int(int32(g.Uint32()))) //nolint:gosec // Any bits will do.
	case i64:
		return wasmtest.Const64(int64(g.Uint64())) //nolint:gosec // Any bits will do.
	default:
		return wasmtest.ConstF64(g.NormFloat64())
	}
}

func (g *generator) value32(depth int) []byte {
	c := wasmtest.Code
	switch g.IntN(10) {
	case 0:
		return c(g.address(), 0x28, 2, 8)
	case 1: // An if with a value.
		one := func() []byte { return g.value(i32, depth) }
		return c(g.value(i32, depth), 0x04, i32, g.within(false, one), 0x05, g.within(false, one), 0x0b)
	case 2: // A block with a value, left early or not.
		return c(0x02, i32, g.value(i32, depth), g.value(i32, depth), 0x0d, 0, 0x0b)
	case 3:
		return c(g.value(i32, depth), wasmtest.Call(g.note))
	case 4:
		return c(g.value(i64, depth), 0xa7)
	case 5:
		return c(g.value(i32, depth), g.value(i32, depth), g.value(i32, depth), 0x1b)
	case 6:
		return c(0x23, 1+g.IntN(2))
	case 7:
		return c(wasmtest.Const(g.IntN(2)), 0x40, 0, 0x3f, 0, 0x6a) // memory.grow + memory.size
	case 8:
		return c(g.value(f64, depth), g.value(f64, depth), 0x63)
	}
	op := 0x6a + g.IntN(3) // add, sub, mul
	if g.IntN(20) == 0 {
		op = 0x6e // div_u, which may trap
	}
	return c(g.value(i32, depth), g.value(i32, depth), op)
}

func (g *generator) value64(depth int) []byte {
	c := wasmtest.Code
	switch n := g.IntN(6); {
	case n == 0:
		return c(g.value(i32, depth), 0xac)
	case n == 1 && len(g.functions) > 0:
		return c(g.value(i32, depth), g.value(i64, depth), wasmtest.Call(g.functions[g.IntN(len(g.functions))]))
	case n == 2 && len(g.functions) > 0: // Through the table, which may be too short.
		callee := c(g.value(i32, 0), wasmtest.Const(3), 0x71, wasmtest.Const(len(g.functions)-1), 0x70)
		return c(g.value(i32, depth), g.value(i64, depth), callee, 0x11, g.common, 0)
	case n == 3:
		return c(g.value(f64, depth), 0xfc, 6) // i64.trunc_sat_f64_s
	}
	return c(g.value(i64, depth), g.value(i64, depth), 0x7c+g.IntN(3))
}

func (g *generator) valueFloat(depth int) []byte {
	if g.IntN(3) == 0 {
		return wasmtest.Code(g.value(i64, depth), 0xb9)
	}
	return wasmtest.Code(g.value(f64, depth), g.value(f64, depth), 0xa0+g.IntN(3))
}
