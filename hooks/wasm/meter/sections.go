package meter

import (
	"fmt"
	"slices"
)

// The sections of a module, by their numbers.
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
	sectionCount
)

// sectionOrder is the order in which sections stand: the last one was invented later.
var sectionOrder = [...]byte{typeSection, importSection, functionSection, tableSection, memorySection, globalSection, exportSection,
	startSection, elementSection, dataCountSection, codeSection, dataSection}

// imported is how many functions the meter adds to the imports: all functions of the module itself move up by as many.
const imported = 2

// rewriter turns one module into its metered form, section by section.
type rewriter struct {
	size     int
	maxPages uint32
	sections [sectionCount]*reader // As they were; nil: not there.
	out      [sectionCount][]byte

	types     []Type
	tickType  uint32
	deepType  uint32
	functions []uint32 // Types of the imported functions, then of the module's own.
	globals   uint32

	blockTypes map[string]uint32 // Types made for blocks with several results, by the results.
	locals     int               // Of all functions so far.
	allLoops   int               // The same.

	imports []Import
	exports []Export
	memory  Memory
}

// The meter's globals come after the module's.
func (w *rewriter) work() uint32  { return w.globals }
func (w *rewriter) stack() uint32 { return w.globals + 1 }

// function is a function's new index.
func (w *rewriter) function(index uint32) uint32 {
	if index < uint32(len(w.imports)) { //nolint:gosec // At most maxImports.
		return index
	}
	return index + imported
}

func (w *rewriter) tick() uint32 { return uint32(len(w.imports)) } //nolint:gosec // At most maxImports.
func (w *rewriter) deep() uint32 { return w.tick() + 1 }

// split finds the sections. Custom ones are left out: what they say about indices would be wrong afterwards.
func (w *rewriter) split(r *reader) {
	last := -1
	for r.more() {
		id := r.u8()
		if id >= sectionCount {
			r.pos--
			r.fail("%s not supported", sectionFeature(id))
			return
		}
		section := r.part(r.u32())
		if id == customSection {
			continue
		}
		place := slices.Index(sectionOrder[:], id)
		if place <= last {
			r.fail("section %d stands twice or in the wrong place", id)
			return
		}
		last, w.sections[id] = place, section
	}
}

func sectionFeature(id byte) string {
	if id == 13 {
		return "exceptions are"
	}
	return fmt.Sprintf("section %d is", id)
}

func (w *rewriter) rewrite() error {
	// Functions are numbered by imports and globals first; bodies come last, for they make types.
	for _, step := range []struct {
		id      byte
		rewrite func(*reader)
	}{
		{typeSection, w.readTypes}, {importSection, w.rewriteImports}, {functionSection, w.readFunctions},
		{tableSection, w.rewriteTables}, {memorySection, w.rewriteMemory}, {globalSection, w.rewriteGlobals},
		{exportSection, w.rewriteExports}, {startSection, w.rewriteStart}, {elementSection, w.rewriteElements},
		{codeSection, w.rewriteCode},
	} {
		r := w.sections[step.id]
		if r == nil {
			r = w.missing(step.id)
		}
		if r == nil {
			continue
		}
		step.rewrite(r)
		if r.end("section"); r.err != nil {
			return r.err
		}
	}
	for _, id := range []byte{functionSection, dataSection, dataCountSection} {
		if r := w.sections[id]; r != nil {
			w.out[id] = r.b
		}
	}
	w.out[typeSection] = w.writeTypes()
	return nil
}

// missing stands in for a section that the meter adds to, or that must match another.
func (w *rewriter) missing(id byte) *reader {
	switch id {
	case importSection, globalSection:
		return &reader{b: []byte{0}}
	case codeSection:
		if len(w.functions) > len(w.imports) {
			return &reader{b: []byte{0}, base: w.size}
		}
	}
	return nil
}

func (w *rewriter) assemble() []byte {
	binary := append(make([]byte, 0, w.size*3/2), "\x00asm\x01\x00\x00\x00"...)
	for _, id := range sectionOrder {
		if content := w.out[id]; content != nil {
			binary = appendU32(append(binary, id), uint32(len(content))) //nolint:gosec // Modules are small.
			binary = append(binary, content...)
		}
	}
	return binary
}

func (w *rewriter) readTypes(r *reader) {
	for range r.count("types", maxTypes) {
		if form := r.u8(); form != 0x60 {
			r.fail("type %#x is not supported; only functions have types", form)
		}
		w.types = append(w.types, Type{Params: w.values(r), Results: w.values(r)})
	}
}

func (w *rewriter) values(r *reader) string {
	values := make([]byte, r.count("values of one function", maxParameters))
	for i := range values {
		values[i] = r.valueType()
	}
	return string(values)
}

// addType returns the index of a type that the meter needs.
func (w *rewriter) addType(t Type) uint32 {
	w.types = append(w.types, t)
	return uint32(len(w.types) - 1) //nolint:gosec // Bounded by the module's size.
}

func (w *rewriter) writeTypes() []byte {
	out := appendU32(nil, uint32(len(w.types))) //nolint:gosec // See addType.
	for _, t := range w.types {
		out = appendName(appendName(append(out, 0x60), t.Params), t.Results)
	}
	return out
}

// typeOf reads the index of a function type.
func (w *rewriter) typeOf(r *reader) uint32 {
	index := r.u32()
	if r.err == nil && index >= uint32(len(w.types)) { //nolint:gosec // See addType.
		r.fail("there is no type %d", index)
		return 0
	}
	return index
}

func (w *rewriter) rewriteImports(r *reader) {
	w.tickType, w.deepType = uint32(len(w.types)), uint32(len(w.types)+1) //nolint:gosec // See addType.
	n := r.count("imports", maxImports)
	start := r.pos
	for range n {
		module, name, kind := r.name(), r.name(), Kind(r.u8())
		if kind != Function && r.err == nil {
			r.fail("%s.%s is an imported %s; only functions can be imported", module, name, kind)
		}
		index := w.typeOf(r)
		if r.err != nil {
			return
		}
		w.imports = append(w.imports, Import{module, name, w.types[index]})
		w.functions = append(w.functions, index)
	}
	w.addType(Type{Results: I32})
	w.addType(Type{})
	out := append(appendU32(nil, uint32(n+imported)), r.b[start:r.pos]...) //nolint:gosec // At most maxImports and two.
	out = appendU32(append(appendName(appendName(out, HostModule), TickFunction), byte(Function)), w.tickType)
	w.out[importSection] = appendU32(append(appendName(appendName(out, HostModule), DeepFunction), byte(Function)), w.deepType)
}

func (w *rewriter) readFunctions(r *reader) {
	for range r.count("functions", maxFunctions) {
		w.functions = append(w.functions, w.typeOf(r))
	}
}

// rewriteTables bounds how far tables grow: they are memory outside of the pages.
func (w *rewriter) rewriteTables(r *reader) {
	n := r.count("tables", maxTables)
	out := appendU32(nil, uint32(n)) //nolint:gosec // At most maxTables.
	for range n {
		element := r.valueType()
		least, most := r.limits("a table", maxElements)
		if least > maxElements {
			r.fail("a table of %d elements; the most are %d", least, maxElements)
		}
		out = appendU32(appendU32(append(out, element, 1), least), most)
	}
	w.out[tableSection] = out
}

// limits reads a minimum and a maximum, which is unbounded when there is none, and cuts the maximum to bound.
func (r *reader) limits(what string, bound uint32) (least, most uint32) {
	flags := r.u8()
	if flags > 1 {
		r.pos--
		r.fail("%s that is shared or has 64-bit addresses is not supported", what)
		return 0, 0
	}
	least, most = r.u32(), bound
	if flags == 1 {
		most = r.u32()
		if most < least {
			r.fail("%s has a maximum below its minimum", what)
		}
		most = min(most, bound)
	}
	return least, most
}

// rewriteMemory lowers what the memory may grow to. The runtime would refuse a module that declares more than it may have.
func (w *rewriter) rewriteMemory(r *reader) {
	n := r.count("memories", 1)
	out := appendU32(nil, uint32(n)) //nolint:gosec // At most 1.
	for range n {
		least, most := r.limits("a memory", w.maxPages)
		out = appendU32(appendU32(append(out, 1), least), max(least, most))
		w.memory = Memory{Defined: true, Min: least}
	}
	w.out[memorySection] = out
}

func (w *rewriter) rewriteGlobals(r *reader) {
	n := r.count("globals", maxGlobals)
	w.globals = uint32(n)              //nolint:gosec // At most maxGlobals.
	out := appendU32(nil, w.globals+2) // The meter's two.
	for range n {
		out = append(out, r.valueType(), r.u8())
		out = w.constant(r, out)
	}
	variable := func(out []byte, value int32) []byte {
		return append(appendI32(append(out, I32[0], 1, opI32Const), value), opEnd)
	}
	w.out[globalSection] = variable(variable(out, SliceUnits), MaxStack)
}

// constant copies a constant expression.
func (w *rewriter) constant(r *reader, out []byte) []byte {
	for r.err == nil {
		start := r.pos
		op := r.u8()
		switch op {
		case opEnd:
			return append(out, op)
		case opI32Const:
			r.skipNumber(32)
		case opI64Const:
			r.skipNumber(64)
		case opF32Const:
			r.take(4)
		case opF64Const:
			r.take(8)
		case opGlobalGet:
			if index := r.u32(); index >= w.globals && r.err == nil {
				r.fail("there is no global variable %d", index)
			}
		case opRefNull:
			r.valueType()
		case opRefFunc:
			out = appendU32(append(out, op), w.function(r.u32()))
			continue
		case opVector:
			if sub := r.u32(); sub != 12 {
				r.fail("instruction 0xfd %d in a constant", sub)
			}
			out = append(append(out, opVector, 12), r.take(16)...)
			continue
		default:
			r.fail("instruction %#x in a constant is not supported", op)
		}
		out = append(out, r.b[start:r.pos]...)
	}
	return out
}

func (w *rewriter) rewriteExports(r *reader) {
	n := r.count("exports", maxExports)
	out := appendU32(nil, uint32(n)) //nolint:gosec // At most maxExports.
	for range n {
		e := Export{Name: r.name(), Kind: Kind(r.u8())}
		index := r.u32()
		if e.Kind == Function && r.err == nil {
			if index >= uint32(len(w.functions)) { //nolint:gosec // At most maxFunctions and maxImports.
				r.fail("there is no function %d to export", index)
				return
			}
			e.Type, index = w.types[w.functions[index]], w.function(index)
		}
		if e.Kind == Global && index >= w.globals && r.err == nil {
			r.fail("there is no global variable %d to export", index)
		}
		w.exports = append(w.exports, e)
		out = appendU32(append(appendName(out, e.Name), byte(e.Kind)), index)
	}
	w.out[exportSection] = out
}

func (w *rewriter) rewriteStart(r *reader) { w.out[startSection] = appendU32(nil, w.function(r.u32())) }

// rewriteElements renumbers the functions that tables hold.
func (w *rewriter) rewriteElements(r *reader) {
	n := r.count("element segments", maxFunctions)
	out := appendU32(nil, uint32(n)) //nolint:gosec // At most maxFunctions.
	for range n {
		flags := r.u32()
		if flags > 7 {
			r.fail("element segment of kind %d is not supported", flags)
		}
		out = appendU32(out, flags)
		if flags&1 == 0 { // Active: it has a place in a table.
			if flags&2 != 0 {
				out = appendU32(out, r.u32())
			}
			out = w.constant(r, out)
		}
		if flags&3 != 0 {
			out = append(out, r.u8()) // The type of its elements.
		}
		elements := r.count("elements", maxElements)
		out = appendU32(out, uint32(elements)) //nolint:gosec // At most maxElements.
		for range elements {
			if flags&4 != 0 {
				out = w.constant(r, out)
			} else {
				out = appendU32(out, w.function(r.u32()))
			}
		}
	}
	w.out[elementSection] = out
}
