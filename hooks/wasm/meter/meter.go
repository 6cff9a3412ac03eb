// Package meter rewrites WebAssembly modules so that they can be stopped. The runtime compiles loops to machine code that nothing
// interrupts, not even the garbage collector, which then waits for them with the whole process. A metered module counts its
// work at every function entry and loop header, and calls the host each time SliceUnits are spent; the host looks at the clock
// there, and a panic of it ends the guest. The same way it counts how deep its functions call each other, because the native stack
// is memory that no limit of pages covers.
//
// The package parses the binary format itself and refuses what it does not know how to count. It validates no types: the runtime
// does that with what comes out. It knows nothing of hooks and starts no goroutine.
package meter

import (
	"errors"
	"fmt"
	"strings"
)

// A metered module imports these two functions, besides what it imported before.
const (
	HostModule   = "meter"
	TickFunction = "tick" // () -> i32, the units until the next tick. It is called after SliceUnits, or soon after.
	DeepFunction = "deep" // () -> (), called when the stack is used up. It must not return.
)

// SliceUnits is the work between two ticks. A unit is 64 bytes of code, or of memory that one instruction touches.
const SliceUnits = 10_000

// MaxStack is what calls within calls may take of the native stack, in bytes. What a function takes is estimated from its length;
// compilers' output takes less, and code made to deceive the estimate a few times as much.
const MaxStack = 16 << 20

// What a module may have. These bound what compiling it costs; compilers' output stays far below.
const (
	maxFunctions  = 200_000
	maxTypes      = 10_000
	maxImports    = 1_000
	maxExports    = 10_000
	maxGlobals    = 100_000
	maxTables     = 16
	maxElements   = 1 << 17 // Of a table: a larger one is refused, and none grows beyond.
	maxBody       = 1 << 20 // Bytes of a function.
	maxLocals     = 50_000  // Of a function,
	maxAllLocals  = 2 << 20 // and of all functions together.
	maxNesting    = 20_000  // Blocks within blocks.
	maxLoops      = 1_000   // Of a function: the compiler takes time by their square.
	maxAllLoops   = 200_000 // Of all functions together.
	maxParameters = 1_000   // And results.
)

// Module is a metered module with what it wants and what it offers.
type Module struct {
	Binary  []byte
	Imports []Import // What it imported before; functions all of them.
	Exports []Export
	Memory  Memory
}

// Import is a function a module wants.
type Import struct {
	Module, Name string
	Type         Type
}

// Export is something a module offers.
type Export struct {
	Name string
	Kind Kind
	Type Type // Of a function.
}

// Memory is a module's memory, in pages of 64 KiB.
type Memory struct {
	Defined bool
	Min     uint32
}

// Kind says what an import or export is.
type Kind byte

// The kinds.
const (
	Function Kind = iota
	Table
	LinearMemory
	Global
)

func (k Kind) String() string {
	switch k {
	case Function:
		return "function"
	case Table:
		return "table"
	case LinearMemory:
		return "memory"
	case Global:
		return "global"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Type is a function's type. Values are encoded as in the binary format.
type Type struct{ Params, Results string }

func (t Type) String() string {
	return "(" + valueNames(t.Params) + ") -> (" + valueNames(t.Results) + ")"
}

func valueNames(values string) string {
	names := make([]string, len(values))
	for i := range names {
		names[i] = valueName(values[i])
	}
	return strings.Join(names, ", ")
}

func valueName(v byte) string {
	switch v {
	case 0x7f:
		return "i32"
	case 0x7e:
		return "i64"
	case 0x7d:
		return "f32"
	case 0x7c:
		return "f64"
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	case 0x6f:
		return "externref"
	}
	return ""
}

// I32 is how the type i32 is encoded.
const I32 = "\x7f"

var (
	errNotWasm   = errors.New("this is no WebAssembly module: it does not begin with \\0asm")
	errComponent = errors.New("this is a WebAssembly component; build a core module instead (for Rust: the target wasm32-unknown-unknown)")
)

// Instrument meters a module whose memory may grow to so many pages. It does not look whether it begins with more. Whatever the bytes
// are, it does not panic; its errors say what is wrong and at which byte.
func Instrument(binary []byte, maxPages uint32) (*Module, error) {
	switch {
	case len(binary) < 8 || string(binary[:4]) != "\x00asm":
		return nil, errNotWasm
	case string(binary[4:8]) == "\x0d\x00\x01\x00":
		return nil, errComponent
	case string(binary[4:8]) != "\x01\x00\x00\x00":
		return nil, fmt.Errorf("this is WebAssembly of version %d; the server knows version 1", binary[4])
	}
	w := &rewriter{size: len(binary), maxPages: maxPages, blockTypes: map[string]uint32{}}
	r := &reader{b: binary, pos: 8}
	w.split(r)
	if r.err != nil {
		return nil, r.err
	}
	if err := w.rewrite(); err != nil {
		return nil, err
	}
	return &Module{Binary: w.assemble(), Imports: w.imports, Exports: w.exports, Memory: w.memory}, nil
}
