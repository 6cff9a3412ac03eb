package core

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"time"
)

// ID names a session, a message or an audit event: a UUID of version 7 (RFC 9562 §5.7), so that identifiers sort by the
// time they were made. The zero ID means "none".
type ID [16]byte

// NewID returns a fresh identifier. It is safe for concurrent use. Identifiers are names and no secrets: their 74 random bits come from the
// runtime's own generator, ChaCha8 seeded by the operating system, because several are made for each message.
func NewID() ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(time.Now().UnixMilli())<<16|rand.Uint64()>>52|0x7000) //nolint:gosec // No secret.
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()>>2|1<<63)                                      //nolint:gosec // No secret.
	return id
}

// ErrBadID is returned by ParseID for anything but the 36-character form of a UUID.
var ErrBadID = errors.New("not a UUID")

// ParseID reads the 36-character form that String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, ErrBadID
	}
	var digits [32]byte
	n := copy(digits[:], s[:8])
	n += copy(digits[n:], s[9:13])
	n += copy(digits[n:], s[14:18])
	n += copy(digits[n:], s[19:23])
	copy(digits[n:], s[24:])
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return ID{}, ErrBadID
	}
	return id, nil
}

// String returns the 36-character lower-case form, also for the zero ID.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// IsZero reports whether id is the zero ID, "none".
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders identifiers as their texts are ordered, and so by the time they were made.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Time returns the moment the identifier was made, to the millisecond.
func (id ID) Time() time.Time {
	var at [8]byte
	copy(at[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(at[:])))
}
