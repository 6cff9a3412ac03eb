package protocol

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// ValidJSON reports whether b is one JSON value (RFC 8259) in UTF-8, blanks around it allowed, that nests objects and arrays
// at most 512 deep.
func ValidJSON(b []byte) bool {
	s := scanner{buf: b}
	s.skip()
	s.blanks()
	return s.problem == "" && s.pos == len(b) && utf8.Valid(b)
}

// scanner reads JSON strictly (RFC 8259) from a buffer known to be UTF-8. The first problem stops it: from then on everything
// reads as empty, loops over members and elements end, and the caller looks at problem once at the end.
type scanner struct {
	buf         []byte
	pos         int
	problem     string
	depth       int // Objects and arrays that are open around pos.
	filterDepth int // Levels of a tag filter around pos.

	publication *PublishRequest // Where a command's request to publish is read to.
}

func (s *scanner) fail(problem string) {
	if s.problem == "" {
		s.problem = problem
	}
}

// blanks skips white space (RFC 8259 §2).
func (s *scanner) blanks() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// newline reports whether there is one between from and the position.
func (s *scanner) newline(from int) bool { return bytes.IndexByte(s.buf[from:s.pos], '\n') >= 0 }

// peek returns the next byte after blanks, 0 at the end of the buffer or after a problem.
func (s *scanner) peek() byte {
	if s.problem != "" {
		return 0
	}
	s.blanks()
	if s.pos == len(s.buf) {
		return 0
	}
	return s.buf[s.pos]
}

// open enters the object or array that begins with c, and reports whether it has a first element.
func (s *scanner) open(c byte) bool {
	if s.peek() != c {
		if c == '{' {
			s.fail("want an object")
		} else {
			s.fail("want an array")
		}
		return false
	}
	if s.depth++; s.depth > maxJSONDepth {
		s.fail("objects and arrays nested too deeply")
		return false
	}
	s.pos++
	if s.peek() == c+2 { // In ASCII, '}' is two after '{', and ']' two after '['.
		s.pos++
		s.depth--
		return false
	}
	return s.problem == ""
}

// more goes on after an element of an object or array that began with c, and reports whether another one follows.
func (s *scanner) more(c byte) bool {
	switch s.peek() {
	case ',':
		s.pos++
		return true
	case c + 2:
		s.pos++
		s.depth--
	default:
		s.fail("want a comma or the end of an object or array")
	}
	return false
}

// key reads a member's name up to the colon. The slice is valid until the buffer is reused.
func (s *scanner) key() []byte {
	name, escaped := s.quoted()
	if escaped {
		name = unescape(name)
	}
	if s.peek() != ':' {
		s.fail("want a colon after the name of a member")
		return nil
	}
	s.pos++
	return name
}

// null consumes a null and reports whether there was one. Null stands for an absent value.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

func (s *scanner) literal(word string) {
	if !bytes.HasPrefix(s.buf[s.pos:], []byte(word)) {
		s.fail("want a value")
		return
	}
	s.pos += len(word)
}

// text reads a string into memory of its own.
func (s *scanner) text() string {
	if s.null() {
		return ""
	}
	b, escaped := s.quoted()
	if escaped {
		b = unescape(b)
	}
	return string(b)
}

func (s *scanner) boolean() bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return s.problem == ""
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.fail("want true or false")
	}
	return false
}

// unsigned reads an integer of at most so many bits.
func (s *scanner) unsigned(bits int) uint64 {
	if s.null() {
		return 0
	}
	n, err := strconv.ParseUint(string(s.number()), 10, bits)
	if err != nil {
		s.fail("want an unsigned integer of " + strconv.Itoa(bits) + " bits")
		return 0
	}
	return n
}

// signed reads an integer of at most so many bits.
func (s *scanner) signed(bits int) int64 {
	if s.null() {
		return 0
	}
	n, err := strconv.ParseInt(string(s.number()), 10, bits)
	if err != nil {
		s.fail("want an integer of " + strconv.Itoa(bits) + " bits")
		return 0
	}
	return n
}

// raw reads any value into memory of its own, as it stands. A null is a value like any other.
func (s *scanner) raw() []byte {
	s.blanks()
	start := s.pos
	s.skip()
	if s.problem != "" {
		return nil
	}
	return bytes.Clone(s.buf[start:s.pos])
}

// skip reads over any value. It does not recurse: what is open stands in a bit set, 1 for an object.
func (s *scanner) skip() {
	var objects [maxJSONDepth/64 + 1]uint64
	outside := s.depth
	for s.problem == "" {
		c := s.peek()
		if c == '{' || c == '[' {
			if s.open(c) {
				word, bit := s.depth/64, uint64(1)<<(s.depth%64)
				if objects[word] &^= bit; c == '{' {
					objects[word] |= bit
					s.name()
				}
				continue
			}
		} else {
			s.scalar(c)
		}
		// A value ended, and with it perhaps what is around it.
		for s.problem == "" {
			if s.depth == outside {
				return
			}
			inObject := objects[s.depth/64]>>(s.depth%64)&1 == 1
			if inObject && s.more('{') {
				s.name()
				break
			}
			if !inObject && s.more('[') {
				break
			}
		}
	}
}

// name reads over a member's name and the colon.
func (s *scanner) name() {
	s.quoted()
	if s.peek() != ':' {
		s.fail("want a colon after the name of a member")
		return
	}
	s.pos++
}

// scalar reads over a value that begins with c and is no object or array.
func (s *scanner) scalar(c byte) {
	switch {
	case c == '"':
		s.quoted()
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// number reads over a number (RFC 8259 §6) and returns its text.
func (s *scanner) number() []byte {
	if s.peek() == 0 {
		s.fail("want a value")
		return nil
	}
	start := s.pos
	if s.buf[s.pos] == '-' {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else {
		s.digits("want a value")
	}
	if s.at('.') {
		s.pos++
		s.digits("want digits after the point of a number")
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		s.digits("want digits in the exponent of a number")
	}
	return s.buf[start:s.pos]
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.buf) && s.buf[s.pos] == c }

func (s *scanner) digits(problem string) {
	start := s.pos
	for s.pos < len(s.buf) && s.buf[s.pos]-'0' <= 9 {
		s.pos++
	}
	if s.pos == start {
		s.fail(problem)
	}
}
