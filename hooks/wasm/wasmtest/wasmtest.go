// Package wasmtest assembles WebAssembly modules for tests: the ones no compiler would make, and small ones without a compiler.
package wasmtest

import (
	"encoding/binary"
	"math"
)

// The value types.
const (
	I32 = 0x7f
	I64 = 0x7e
	F64 = 0x7c
)

// Module is a module that is being assembled. The zero value is an empty one.
type Module struct {
	types, imports, functions, tables, memories, globals, exports, elements, codes, data [][]byte
	start                                                                                []byte
	imported                                                                             int
}

// Values lists value types.
func Values(types ...byte) []byte { return types }

// Code concatenates instructions: numbers are opcodes and other bytes, byte slices are taken as they are.
func Code(parts ...any) []byte {
	var code []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			code = append(code, byte(p)) //nolint:gosec // A test that writes more than a byte fails.
		case []byte:
			code = append(code, p...)
		default:
			panic("wasmtest: neither a byte nor bytes")
		}
	}
	return code
}

// U32 encodes an unsigned number.
func U32(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) } //nolint:gosec // Not negative.

// S64 encodes a signed number.
func S64(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Const is i32.const.
func Const(v int) []byte { return append([]byte{0x41}, S64(int64(v))...) }

// Const64 is i64.const.
func Const64(v int64) []byte { return append([]byte{0x42}, S64(v)...) }

// ConstF64 is f64.const.
func ConstF64(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

// Call calls a function.
func Call(function int) []byte { return append([]byte{0x10}, U32(function)...) }

// Get and Set are local.get and local.set.
func Get(local int) []byte { return append([]byte{0x20}, U32(local)...) }

// Set is local.set.
func Set(local int) []byte { return append([]byte{0x21}, U32(local)...) }

// Name encodes a name.
func Name(s string) []byte { return append(U32(len(s)), s...) }

// Type adds a function type and returns its index.
func (m *Module) Type(params, results []byte) int {
	m.types = append(m.types, Code(0x60, U32(len(params)), params, U32(len(results)), results))
	return len(m.types) - 1
}

// Import adds a function and returns its index. Imports come before functions.
func (m *Module) Import(module, name string, params, results []byte) int {
	return m.ImportRaw(module, name, Code(0, U32(m.Type(params, results))))
}

// ImportRaw adds an import of any kind, described as in the binary format.
func (m *Module) ImportRaw(module, name string, description []byte) int {
	m.imports = append(m.imports, Code(Name(module), Name(name), description))
	m.imported++
	return m.imported - 1
}

// Function adds a function with local variables of these types and returns its index. code lacks the final end.
func (m *Module) Function(params, results, locals []byte, code ...any) int {
	return m.FunctionOf(m.Type(params, results), locals, code...)
}

// FunctionOf is Function with a type that is there already.
func (m *Module) FunctionOf(typeIndex int, locals []byte, code ...any) int {
	m.functions = append(m.functions, U32(typeIndex))
	body := U32(len(locals))
	for _, l := range locals {
		body = append(body, 1, l)
	}
	body = Code(body, Code(code...), 0x0b)
	m.codes = append(m.codes, Code(U32(len(body)), body))
	return m.imported + len(m.functions) - 1
}

// Hook adds a function () -> i32, exports it and returns its index.
func (m *Module) Hook(name string, code ...any) int {
	f := m.Function(nil, Values(I32), nil, code...)
	m.Export(name, 0, f)
	return f
}

// Memory adds a memory and exports it. most < 0: no maximum.
func (m *Module) Memory(least, most int) {
	limits := Code(0, U32(least))
	if most >= 0 {
		limits = Code(1, U32(least), U32(most))
	}
	m.memories = append(m.memories, limits)
	m.Export("memory", 2, 0)
}

// Global adds a variable and returns its index.
func (m *Module) Global(valueType byte, initial []byte) int {
	m.globals = append(m.globals, Code(int(valueType), 1, initial, 0x0b))
	return len(m.globals) - 1
}

// Table adds a table of functions that holds these.
func (m *Module) Table(functions ...int) {
	m.tables = append(m.tables, Code(0x70, 0, U32(len(functions))))
	segment := Code(0, Const(0), 0x0b, U32(len(functions)))
	for _, f := range functions {
		segment = append(segment, U32(f)...)
	}
	m.elements = append(m.elements, segment)
}

// Data puts bytes into the memory.
func (m *Module) Data(offset int, content string) {
	m.data = append(m.data, Code(0, Const(offset), 0x0b, Name(content)))
}

// Start makes a function run at instantiation.
func (m *Module) Start(function int) { m.start = U32(function) }

// Export exports something: 0 a function, 1 a table, 2 a memory, 3 a global.
func (m *Module) Export(name string, kind, index int) {
	m.exports = append(m.exports, Code(Name(name), kind, U32(index)))
}

// Bytes is the module in the binary format.
func (m *Module) Bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, section := range []struct {
		id      int
		entries [][]byte
	}{{1, m.types}, {2, m.imports}, {3, m.functions}, {4, m.tables}, {5, m.memories}, {6, m.globals}, {7, m.exports}, {8, nil},
		{9, m.elements}, {10, m.codes}, {11, m.data}} {
		switch {
		case section.id == 8 && m.start != nil:
			b = Code(b, 8, U32(len(m.start)), m.start)
		case len(section.entries) > 0:
			content := U32(len(section.entries))
			for _, e := range section.entries {
				content = append(content, e...)
			}
			b = Code(b, section.id, U32(len(content)), content)
		}
	}
	return b
}
