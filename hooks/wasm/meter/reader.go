package meter

import "fmt"

// reader walks over a part of a module. Its first mistake sticks: reads after it return zeros, and loops end because nothing is left.
type reader struct {
	b    []byte
	pos  int
	base int // Where b begins in the module.
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %s", r.base+r.pos, fmt.Sprintf(format, args...))
	}
	r.pos = len(r.b)
}

func (r *reader) more() bool { return r.err == nil && r.pos < len(r.b) }

// end demands that everything was read.
func (r *reader) end(what string) {
	if r.more() {
		r.fail("the %s is longer than its content", what)
	}
}

func (r *reader) u8() byte {
	if r.pos >= len(r.b) {
		r.fail("the module ends in the middle")
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("the module ends in the middle")
		return nil
	}
	start := r.pos
	r.pos += int(n)
	return r.b[start:r.pos]
}

// part is a reader for the next n bytes.
func (r *reader) part(n uint32) *reader {
	base := r.base + r.pos
	return &reader{b: r.take(n), base: base, err: r.err}
}

func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.u8()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail("a number is too large")
	return 0
}

// skipNumber passes over an integer of at most so many bits.
func (r *reader) skipNumber(bits int) {
	for range (bits + 6) / 7 {
		if r.u8() < 0x80 {
			return
		}
	}
	r.fail("a number is too large")
}

// count reads how many elements follow. Each takes a byte at least.
func (r *reader) count(what string, most int) int {
	n := r.u32()
	switch {
	case r.err != nil:
		return 0
	case n > uint32(most): //nolint:gosec // The limits are constants.
		r.fail("there are %d %s; the most are %d", n, what, most)
		return 0
	case int(n) > len(r.b)-r.pos:
		r.fail("the module ends in the middle")
		return 0
	}
	return int(n)
}

func (r *reader) name() string { return string(r.take(r.u32())) }

func (r *reader) valueType() byte {
	v := r.u8()
	if r.err == nil && valueName(v) == "" {
		r.pos--
		r.fail("value type %#x is not supported", v)
	}
	return v
}

// appendU32 and appendI32 write numbers in the format's variable length.
func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendI32(b []byte, v int32) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...) //nolint:gosec // Names are short.
}
