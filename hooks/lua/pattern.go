package lua

import "strings"

// Lua patterns (Reference Manual 5.1 §5.4.1). The machine's own matcher can neither be interrupted nor bounded, and gsub with it
// copies the whole text for every replacement; this one counts every step it takes.

const (
	maxCaptures     = 32  // As in Lua.
	maxPatternDepth = 200 // Nesting of choices; keeps hostile patterns off Go's stack.

	captureOpen     = -1 // Lengths of captures that are not ordinary.
	capturePosition = -2
)

type capture struct{ start, length int }

// matcher tries one pattern on one text. fail raises an error in the script and does not return; step counts one unit of work.
type matcher struct {
	text, pattern string
	step          func(units int)
	fail          func(message string)
	plain         bool // The pattern stands for itself.

	depth    int
	captured int
	captures [maxCaptures]capture
}

// match tries the pattern from its byte p on the text from s on. It returns where the match ends, or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxPatternDepth {
		m.fail("pattern too complex")
	}
	end := m.matchItems(s, p)
	m.depth--
	return end
}

func (m *matcher) matchItems(s, p int) int {
	for p < len(m.pattern) {
		m.step(1)
		switch m.pattern[p] {
		case '(':
			if p+1 < len(m.pattern) && m.pattern[p+1] == ')' {
				return m.openCapture(s, p+2, capturePosition)
			}
			return m.openCapture(s, p+1, captureOpen)
		case ')':
			return m.closeCapture(s, p+1)
		case '$':
			if p+1 == len(m.pattern) {
				if s == len(m.text) {
					return s
				}
				return -1
			}
		case '%':
			next, width, special := m.special(s, p)
			if special {
				if next < 0 {
					return -1
				}
				s, p = next, p+width
				continue
			}
		}
		end := m.itemEnd(p)
		var quantifier byte
		if end < len(m.pattern) {
			quantifier = m.pattern[end]
		}
		switch quantifier {
		case '*':
			return m.longest(s, p, end, 0)
		case '+':
			return m.longest(s, p, end, 1)
		case '-':
			return m.shortest(s, p, end)
		case '?':
			if m.single(s, p, end) {
				if found := m.match(s+1, end+1); found >= 0 {
					return found
				}
			}
			p = end + 1
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
	return s
}

// special handles %bxy, %f[set] and %1 to %9. It returns the new place in the text and the width of the item.
func (m *matcher) special(s, p int) (next, width int, ok bool) {
	if p+1 >= len(m.pattern) {
		m.fail("malformed pattern (ends with '%')")
	}
	switch c := m.pattern[p+1]; {
	case c == 'b':
		if p+3 >= len(m.pattern) {
			m.fail("malformed pattern (missing arguments to '%b')")
		}
		return m.balanced(s, m.pattern[p+2], m.pattern[p+3]), 4, true
	case c == 'f':
		if p+2 >= len(m.pattern) || m.pattern[p+2] != '[' {
			m.fail("missing '[' after '%f' in pattern")
		}
		end := m.itemEnd(p + 2)
		var before, here byte
		if s > 0 {
			before = m.text[s-1]
		}
		if s < len(m.text) {
			here = m.text[s]
		}
		if m.inSet(before, p+2, end) || !m.inSet(here, p+2, end) {
			return -1, 0, true
		}
		return s, end - p, true
	case c >= '0' && c <= '9':
		return m.again(s, int(c-'1')), 2, true
	}
	return 0, 0, false
}

func (m *matcher) openCapture(s, p, length int) int {
	if m.captured >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures[m.captured] = capture{s, length}
	m.captured++
	end := m.match(s, p)
	if end < 0 {
		m.captured--
	}
	return end
}

func (m *matcher) closeCapture(s, p int) int {
	i := m.captured - 1
	for i >= 0 && m.captures[i].length != captureOpen {
		i--
	}
	if i < 0 {
		m.fail("invalid pattern capture")
	}
	m.captures[i].length = s - m.captures[i].start
	end := m.match(s, p)
	if end < 0 {
		m.captures[i].length = captureOpen
	}
	return end
}

// again matches what capture i holds.
func (m *matcher) again(s, i int) int {
	if i < 0 || i >= m.captured || m.captures[i].length < 0 {
		m.fail("invalid capture index")
	}
	c := m.captures[i]
	m.step(c.length / 64)
	if len(m.text)-s < c.length || m.text[s:s+c.length] != m.text[c.start:c.start+c.length] {
		return -1
	}
	return s + c.length
}

func (m *matcher) balanced(s int, open, shut byte) int {
	if s >= len(m.text) || m.text[s] != open {
		return -1
	}
	level := 1
	for i := s + 1; i < len(m.text); i++ {
		m.step(1)
		switch m.text[i] {
		case shut:
			if level--; level == 0 {
				return i + 1
			}
		case open:
			level++
		}
	}
	return -1
}

func (m *matcher) longest(s, p, end, least int) int {
	n := 0
	for m.single(s+n, p, end) {
		n++
	}
	for ; n >= least; n-- {
		m.step(1)
		if found := m.match(s+n, end+1); found >= 0 {
			return found
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		if found := m.match(s, end+1); found >= 0 {
			return found
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

// itemEnd returns where the single-character item at p ends.
func (m *matcher) itemEnd(p int) int {
	c := m.pattern[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pattern) {
			m.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if p < len(m.pattern) && m.pattern[p] == '^' {
			p++
		}
		for first := true; ; first = false { // A ] in first place stands for itself.
			if p >= len(m.pattern) {
				m.fail("malformed pattern (missing ']')")
			}
			switch m.pattern[p] {
			case ']':
				if !first {
					return p + 1
				}
			case '%':
				p++
			}
			p++
		}
	}
	return p
}

// single reports whether the text at s begins with a character of the item.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.text) {
		return false
	}
	m.step(1)
	c := m.text[s]
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p, end)
	}
	return m.pattern[p] == c
}

// inSet reports whether c is in the set whose [ is at p and which ends before end.
func (m *matcher) inSet(c byte, p, end int) bool {
	p, end = p+1, end-1
	wanted := true
	if m.pattern[p] == '^' {
		wanted = false
		p++
	}
	m.step((end - p) / 8)
	for p < end {
		switch {
		case m.pattern[p] == '%':
			if inClass(c, m.pattern[p+1]) {
				return wanted
			}
			p += 2
		case p+2 < end && m.pattern[p+1] == '-':
			if m.pattern[p] <= c && c <= m.pattern[p+2] {
				return wanted
			}
			p += 3
		default:
			if m.pattern[p] == c {
				return wanted
			}
			p++
		}
	}
	return !wanted
}

// inClass reports whether c is in the class that follows a %. Upper-case classes are the complements; other letters and
// punctuation stand for themselves. Classes are those of ASCII.
func inClass(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'p':
		in = c > 0x20 && c < 0x7f && !isLetter(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return in == (class&0x20 != 0)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// isPlain reports whether a pattern stands for itself.
func isPlain(pattern string) bool { return !strings.ContainsAny(pattern, "^$*+?.([%-") }
