package protocol

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The strings of JSON (RFC 8259 §7).

// quoted reads over a string and returns what is between its quotes, and whether that has escapes in it.
func (s *scanner) quoted() (between []byte, escaped bool) {
	if s.peek() != '"' {
		s.fail("want a string")
		return nil, false
	}
	s.pos++
	start := s.pos
	for {
		s.plain()
		if s.pos == len(s.buf) {
			s.fail("a string without end")
			return nil, false
		}
		switch s.buf[s.pos] {
		case '"':
			s.pos++
			return s.buf[start : s.pos-1], escaped
		case '\\':
			escaped = true
			if !s.escape() {
				s.fail("an unknown escape in a string")
				return nil, false
			}
		default:
			s.fail("a control character in a string")
			return nil, false
		}
	}
}

// plain moves to the next byte of a string that means something else than itself: a quote, a backslash or a control character.
func (s *scanner) plain() {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	pos := s.pos
	for ; pos+8 <= len(s.buf); pos += 8 {
		// Eight bytes at once: x-n borrows into the high bit of a byte below n. Borrows only spoil bytes after the first hit.
		x := binary.LittleEndian.Uint64(s.buf[pos:])
		quote, backslash := x^(ones*'"'), x^(ones*'\\')
		hits := ((x-ones*0x20)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
		if hits != 0 {
			s.pos = pos + bits.TrailingZeros64(hits)/8
			return
		}
	}
	for pos < len(s.buf) && s.buf[pos] >= 0x20 && s.buf[pos] != '"' && s.buf[pos] != '\\' {
		pos++
	}
	s.pos = pos
}

// escape moves over an escape sequence and reports whether it is one.
func (s *scanner) escape() bool {
	rest := s.buf[s.pos+1:]
	if len(rest) == 0 {
		return false
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
		if hex4(rest[1:]) < 0 {
			return false
		}
		s.pos += 6
		return true
	default:
		return false
	}
}

// hex4 returns the number in the first four hexadecimal digits of b, -1 when they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var n rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		n = n<<4 | rune(c)
	}
	return n
}

// unescape returns what a string with escapes stands for. Half a surrogate pair becomes U+FFFD.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		c := b[i+1]
		b = b[i+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(b)
			b = b[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
					low = hex4(b[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					b = b[6:]
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
}
