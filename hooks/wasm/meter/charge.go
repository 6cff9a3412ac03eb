package meter

// unit is how many bytes of code, or of memory touched, are one unit of work, as a power of two.
const unit = 6

// units is the work of code that is so many bytes long.
func units(size int) int32 { return 1 + int32(size>>unit) } //nolint:gosec // At most maxBody.

// charge writes: work -= amount; if work < 0 { work = tick() }.
func (b *body) charge(amount func()) {
	b.indexed(opGlobalGet, b.work())
	amount()
	b.out = append(b.out, opI32Sub)
	b.indexed(opLocalTee, b.spare)
	b.indexed(opGlobalSet, b.work())
	b.indexed(opLocalGet, b.spare)
	b.constant32(0)
	b.out = append(b.out, opI32LtS, opIf, noResult)
	b.indexed(opCall, b.tick())
	b.indexed(opGlobalSet, b.work())
	b.out = append(b.out, opEnd)
}

// take writes: stack -= frame; if stack < 0 { deep() }.
func (b *body) take(frame int32) {
	b.indexed(opGlobalGet, b.stack())
	b.constant32(frame)
	b.out = append(b.out, opI32Sub)
	b.indexed(opLocalTee, b.spare)
	b.indexed(opGlobalSet, b.stack())
	b.indexed(opLocalGet, b.spare)
	b.constant32(0)
	b.out = append(b.out, opI32LtS, opIf, noResult)
	b.indexed(opCall, b.deep())
	b.out = append(b.out, opEnd)
}

// giveBack writes: stack += frame.
func (b *body) giveBack(frame int32) {
	b.indexed(opGlobalGet, b.stack())
	b.constant32(frame)
	b.out = append(b.out, opI32Add)
	b.indexed(opGlobalSet, b.stack())
}

func (b *body) indexed(op byte, index uint32) { b.out = appendU32(append(b.out, op), index) }
func (b *body) constant32(v int32)            { b.out = appendI32(append(b.out, opI32Const), v) }

// unitsLater writes a constant of which only the place is known: three bytes, which hold twenty bits.
func (b *body) unitsLater() (place int) {
	b.out = append(b.out, opI32Const, 0, 0, 0)
	return len(b.out) - 3
}

func (b *body) writeUnits(place int, v int32) {
	b.out[place], b.out[place+1], b.out[place+2] = byte(v&0x7f)|0x80, byte(v>>7&0x7f)|0x80, byte(v>>14&0x3f)
}

// chargeGrowth counts for an instruction that may copy all memory there is.
func (b *body) chargeGrowth() { b.charge(func() { b.constant32(SliceUnits / 2) }) }

// chargeLength counts for the bytes or elements whose number lies on top of the operands.
func (b *body) chargeLength() {
	b.indexed(opLocalTee, b.spare)
	b.charge(func() {
		b.indexed(opLocalGet, b.spare)
		b.constant32(unit)
		b.out = append(b.out, opI32ShrU)
	})
}
