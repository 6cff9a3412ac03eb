package meter

// The instructions that the meter writes or treats in a way of their own.
const (
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBranch       = 0x0c
	opBranchIf     = 0x0d
	opBranchTable  = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoad         = 0x28 // The first of the loads and stores.
	opStore        = 0x3e // The last of them.
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45 // The first of those without immediates.
	opI32LtS       = 0x48
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32ShrU      = 0x76
	opI64Extend32S = 0xc4 // The last of them.
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd
	noResult       = 0x40 // The type of a block without values.
)

// body is a function that is being rewritten.
type body struct {
	*rewriter
	r      *reader
	out    []byte
	spare  uint32  // A local of the meter.
	blocks []block // Those that are open; the first is the function.
	loops  int
	calls  bool // It calls functions of the module.
}

type block struct {
	loop  bool
	start int // Of its code, in the reader.
	units int // Of its header, in out: where the units are written when its length is known.
}

// rewriteCode meters the functions.
func (w *rewriter) rewriteCode(r *reader) {
	n := r.count("functions", maxFunctions)
	own := w.functions[len(w.imports):]
	if n != len(own) && r.err == nil {
		r.fail("there are %d functions and %d bodies", len(own), n)
		return
	}
	out := appendU32(make([]byte, 0, len(r.b)*3/2), uint32(n)) //nolint:gosec // At most maxFunctions.
	b := &body{rewriter: w}
	for i := range n {
		size := r.u32()
		if size > maxBody && r.err == nil {
			r.fail("a function of %d bytes; the most are %d", size, maxBody)
		}
		b.r = r.part(size)
		code := b.rewriteFunction(w.types[own[i]])
		if b.r.end("function"); b.r.err != nil {
			r.err = b.r.err
			return
		}
		out = append(appendU32(out, uint32(len(code))), code...) //nolint:gosec // A few times maxBody.
	}
	w.out[codeSection] = out
}

// rewriteFunction writes
//
//	locals, one more
//	charge for the function's length
//	take from the stack                        and a function that calls others
//	block: the function, in which
//	    a loop begins with a charge for its length
//	    a return is a branch to the end
//	end
//	give back to the stack                     the same
//	end
func (b *body) rewriteFunction(t Type) []byte {
	size := len(b.r.b)
	head, locals := b.rewriteLocals()
	b.spare = uint32(len(t.Params) + locals) //nolint:gosec // At most maxParameters and maxLocals.
	b.out, b.blocks, b.loops, b.calls = b.out[:0], append(b.blocks[:0], block{}), 0, false
	for len(b.blocks) > 0 && b.r.err == nil {
		b.instruction()
	}
	inner := b.out
	b.out = head
	b.charge(func() { b.constant32(units(size)) })
	if b.calls {
		// What the compiler may have to keep on the stack: every local, and values that take code to make.
		frame := int32(64 + 8*(len(t.Params)+locals) + size) //nolint:gosec // At most some millions.
		b.take(frame)
		b.out = append(b.out, opBlock)
		b.out = append(b.out, b.blockType(t.Results)...)
		b.out = append(b.out, inner...)
		b.giveBack(frame)
		b.out = append(b.out, opEnd)
	} else {
		b.out = append(b.out, inner...)
	}
	whole := b.out
	b.out = inner // Its memory serves the next function.
	return whole
}

func (b *body) rewriteLocals() (head []byte, locals int) {
	groups := b.r.count("groups of locals", maxLocals)
	start, total := b.r.pos, uint64(0)
	for range groups {
		total += uint64(b.r.u32())
		b.r.valueType()
	}
	if total > maxLocals {
		b.r.fail("a function with %d local variables; the most are %d", total, maxLocals)
		return nil, 0
	}
	locals = int(total) //nolint:gosec // At most maxLocals.
	if b.locals += locals; b.locals > maxAllLocals {
		b.r.fail("the functions have more than %d local variables together", maxAllLocals)
	}
	head = append(appendU32(nil, uint32(groups+1)), b.r.b[start:b.r.pos]...) //nolint:gosec // At most maxLocals.
	return append(head, 1, I32[0]), locals
}

// blockType is how a block with these results is declared.
func (b *body) blockType(results string) []byte {
	switch len(results) {
	case 0:
		return []byte{noResult}
	case 1:
		return []byte(results)
	}
	index, ok := b.blockTypes[results]
	if !ok {
		index = b.addType(Type{Results: results})
		b.blockTypes[results] = index
	}
	return appendI32(nil, int32(index)) //nolint:gosec // See addType.
}

// instruction rewrites the next one. What is not known is refused: a wrong guess at the length of an immediate would let code
// pass that was not counted. For the same reason nothing is copied whose length could be read in another way.
func (b *body) instruction() {
	r, start := b.r, b.r.pos
	op := r.u8()
	switch {
	case op == opBlock || op == opLoop || op == opIf:
		b.open(op)
		return
	case op == opEnd:
		b.close()
		return
	case op == opReturn:
		b.indexed(opBranch, uint32(len(b.blocks)-1)) //nolint:gosec // At most maxNesting.
		return
	case op == opCall:
		index := r.u32()
		b.calls = b.calls || index >= b.tick()
		b.indexed(op, b.function(index))
		return
	case op == opRefFunc:
		b.indexed(op, b.function(r.u32()))
		return
	case op == opMisc:
		b.misc()
		return
	case op == opVector:
		b.vector()
		return
	case op == opMemoryGrow:
		b.chargeGrowth()
		b.zero("memory.grow")
		b.out = append(b.out, op, 0)
		return
	case op == opCallIndirect:
		b.calls = true
		r.u32()
		r.u32()
	case op >= opLocalGet && op <= opLocalTee:
		b.existing("local variable", r.u32(), b.spare)
	case op == opGlobalGet, op == opGlobalSet:
		b.existing("global variable", r.u32(), b.globals)
	case op == opBranch, op == opBranchIf, op == opTableGet, op == opTableSet:
		r.u32()
	case op == opBranchTable:
		for range r.count("branches", maxBody) {
			r.u32()
		}
		r.u32()
	case op == opSelectTyped:
		if r.u8() != 1 {
			r.fail("select with several types is not supported")
		}
		r.valueType()
	case op >= opLoad && op <= opStore:
		b.address()
	case op == opMemorySize:
		b.zero("memory.size")
	case op == opI32Const:
		r.skipNumber(32)
	case op == opI64Const:
		r.skipNumber(64)
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op == opRefNull:
		r.valueType()
	case op <= 0x01, op == opElse, op == 0x1a, op == opSelect, op >= opI32Eqz && op <= opI64Extend32S, op == opRefIsNull:
	default:
		r.pos = start
		r.fail("%s not supported", feature(op))
	}
	b.out = append(b.out, r.b[start:r.pos]...)
}

// existing refuses an index that the module has nothing for. After metering it would be one of the meter's own variables: a guest could
// give itself as much work as it likes.
func (b *body) existing(what string, index, count uint32) {
	if index >= count && b.r.err == nil {
		b.r.fail("there is no %s %d", what, index)
	}
}

// feature names the extension of WebAssembly that an instruction belongs to.
func feature(op byte) string {
	switch {
	case op >= 0x06 && op <= 0x0a || op == 0x18 || op == 0x19 || op == 0x1f:
		return "exceptions are"
	case op == 0x12 || op == 0x13:
		return "tail calls are"
	case op == 0x14 || op == 0x15 || op == 0xfb || op >= 0xd3 && op <= 0xd6:
		return "garbage-collected types are"
	case op == 0xfe:
		return "threads (atomics) are"
	}
	return "instruction " + hex(op) + " is"
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return "0x" + string([]byte{digits[b>>4], digits[b&15]})
}

func (b *body) open(op byte) {
	start := b.r.pos
	b.r.skipNumber(33) // Its type: none, a value's, or an index.
	b.out = append(append(b.out, op), b.r.b[start:b.r.pos]...)
	if len(b.blocks) >= maxNesting {
		b.r.fail("more than %d blocks within blocks", maxNesting)
	}
	opened := block{loop: op == opLoop, start: b.r.pos}
	if opened.loop {
		if b.loops, b.allLoops = b.loops+1, b.allLoops+1; b.loops > maxLoops || b.allLoops > maxAllLoops {
			b.r.fail("more than %d loops in a function, or %d in all of them", maxLoops, maxAllLoops)
		}
		b.charge(func() { opened.units = b.unitsLater() })
	}
	b.blocks = append(b.blocks, opened)
}

func (b *body) close() {
	b.out = append(b.out, opEnd)
	last := len(b.blocks) - 1
	if closed := b.blocks[last]; closed.loop {
		b.writeUnits(closed.units, units(b.r.pos-closed.start))
	}
	b.blocks = b.blocks[:last]
}

// address passes over the alignment and offset of a load or store.
func (b *body) address() {
	if align := b.r.u32(); align >= 1<<6 {
		b.r.fail("several memories are not supported")
	}
	b.r.skipNumber(32)
}

// zero demands the index of the only memory.
func (b *body) zero(instruction string) {
	if b.r.u8() != 0 {
		b.r.fail("%s of another memory: several memories are not supported", instruction)
	}
}

// misc rewrites the instructions for whole ranges of memory and tables, and the conversions that came with them.
func (b *body) misc() {
	r := b.r
	sub := r.u32()
	if r.err != nil {
		return
	}
	switch sub {
	case 8, 10, 11, 12, 14, 17: // memory.init, memory.copy, memory.fill, table.init, table.copy, table.fill
		b.chargeLength()
	case 15: // table.grow
		b.chargeGrowth()
	}
	if sub > 17 {
		r.fail("instruction 0xfc %d is not supported", sub)
		return
	}
	b.out = append(b.out, opMisc, byte(sub))
	start := r.pos
	switch sub {
	case 8: // memory.init
		r.u32()
		b.zero("memory.init")
	case 10: // memory.copy
		b.zero("memory.copy")
		b.zero("memory.copy")
	case 11: // memory.fill
		b.zero("memory.fill")
	case 12, 14: // table.init, table.copy
		r.u32()
		r.u32()
	case 9, 13, 15, 16, 17: // data.drop, elem.drop, table.grow, table.size, table.fill
		r.u32()
	}
	b.out = append(b.out, r.b[start:r.pos]...)
}

// vector copies the instructions for 128-bit values.
func (b *body) vector() {
	r := b.r
	sub := r.u32()
	if sub > 0xff {
		r.fail("relaxed vector instruction %d is not supported", sub)
		return
	}
	b.indexed(opVector, sub)
	start := r.pos
	switch {
	case sub <= 11 || sub == 92 || sub == 93: // Loads and stores.
		b.address()
	case sub == 12 || sub == 13: // A constant, a shuffle.
		r.take(16)
	case sub >= 21 && sub <= 34: // A lane.
		r.u8()
	case sub >= 84 && sub <= 91: // A lane in memory.
		b.address()
		r.u8()
	}
	b.out = append(b.out, r.b[start:r.pos]...)
}
