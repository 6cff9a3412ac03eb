package bus

import (
	"errors"
	"strings"
)

// maxName keeps subjects, with every byte escaped, far below the 4,096 bytes at which a NATS server closes the connection.
const maxName = 255

// ErrName is what Token and Name return for what they cannot translate.
var ErrName = errors.New("not a channel name that can be a subject")

const hexDigits = "0123456789ABCDEF"

// special says which bytes mean something in a subject, or must not be in one. DEL is kept for NATS's own use.
func special(c byte) bool {
	return c <= ' ' || c == 0x7f || c == '.' || c == '*' || c == '>' || c == '%'
}

// Token makes one token of a subject out of a channel name of 1 to 255 bytes: what is special becomes %XX, everything else stays
// as it is, UTF-8 included. Different names have different tokens.
func Token(name string) (string, error) {
	if name == "" || len(name) > maxName {
		return "", ErrName
	}
	n := 0
	for i := range len(name) {
		if special(name[i]) {
			n++
		}
	}
	if n == 0 {
		return name, nil
	}
	var b strings.Builder
	b.Grow(len(name) + 2*n)
	for i := range len(name) {
		if c := name[i]; special(c) {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// Name is the inverse of Token. It refuses what Token never makes.
func Name(token string) (string, error) {
	var b strings.Builder
	b.Grow(len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			if i+2 >= len(token) {
				return "", ErrName
			}
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 || !special(byte(high<<4|low)) {
				return "", ErrName
			}
			c, i = byte(high<<4|low), i+2
		} else if special(c) {
			return "", ErrName
		}
		b.WriteByte(c)
	}
	if b.Len() == 0 || b.Len() > maxName {
		return "", ErrName
	}
	return b.String(), nil
}
