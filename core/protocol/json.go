package protocol

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"
)

// These append parts of JSON to dst. A member that says nothing, the zero value of its type, is left out, as the public
// protocol does; the names that end in Always are for the few members clients rely on.

// appendKey appends a member's name and what has to stand before it in its object.
func appendKey(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendText(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendTextAlways(dst, name, value)
}

func appendTextAlways(dst []byte, name, value string) []byte {
	return appendString(appendKey(dst, name), value)
}

func appendUint(dst []byte, name string, value uint64) []byte {
	if value == 0 {
		return dst
	}
	return appendUintAlways(dst, name, value)
}

func appendUintAlways(dst []byte, name string, value uint64) []byte {
	return strconv.AppendUint(appendKey(dst, name), value, 10)
}

func appendInt(dst []byte, name string, value int64) []byte {
	if value == 0 {
		return dst
	}
	return strconv.AppendInt(appendKey(dst, name), value, 10)
}

func appendBool(dst []byte, name string, value bool) []byte {
	if !value {
		return dst
	}
	return append(appendKey(dst, name), "true"...)
}

// appendRaw appends a value that is JSON already. Its newlines are left out, because a newline ends the reply: in valid JSON they
// stand between tokens only, where they mean nothing.
func appendRaw(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = appendKey(dst, name)
	for {
		i := bytes.IndexByte(value, '\n')
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(dst, value[:i]...)
		value = value[i+1:]
	}
}

// appendMap appends an object whose member names are the keys of m, sorted, so that the same map is always the same bytes.
func appendMap[V any](dst []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	var few [8]string
	keys := few[:0]
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':')
		dst = value(dst, m[key])
	}
	return append(dst, '}')
}

// appendString appends a string with its quotes. What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		}
		i++
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
