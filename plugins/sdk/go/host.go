//go:build wasip1

package hook

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"unsafe"
)

//go:wasmimport hook_v1 get
func hostGet(field int32, ptr unsafe.Pointer, size int32) int32

//go:wasmimport hook_v1 set
func hostSet(field int32, ptr unsafe.Pointer, size int32) int32

//go:wasmimport hook_v1 reject
func hostReject(code int32, ptr unsafe.Pointer, size int32)

//go:wasmimport hook_v1 log
func hostLog(level int32, ptr unsafe.Pointer, size int32)

// Verdict is what a hook returns.
type Verdict = int32

// Reject denies with a code, 0 for the usual one, and a sentence for the client, which may be empty: return Reject(403, "why").
// Codes from 1 to 1999 are errors, those from 3000 to 4999 close the connection.
func Reject(code int, reason string) Verdict {
	hostReject(int32(code), unsafe.Pointer(unsafe.StringData(reason)), int32(len(reason)))
	return Deny
}

// Config reads the plugin's configuration, an object, into a pointer, as json.Unmarshal does.
func Config(to any) error {
	b, _ := read(fieldConfig)
	return json.Unmarshal(b, to)
}

// Log writes a line to the server's log.
func Log(text string) { writeLog(1, text) }

// Warn writes a warning to the server's log.
func Warn(text string) { writeLog(2, text) }

// Error writes an error to the server's log.
func Error(text string) { writeLog(3, text) }

func writeLog(level int32, text string) {
	hostLog(level, unsafe.Pointer(unsafe.StringData(text)), int32(len(text)))
}

// buffer is where fields are read to. A plugin's calls come one after the other.
var buffer = make([]byte, 1024)

// read copies a field out of the host. The bytes are good until the next read. ok is false when the field has no value.
func read(field int32) (b []byte, ok bool) {
	for {
		n := hostGet(field, unsafe.Pointer(unsafe.SliceData(buffer)), int32(len(buffer)))
		switch {
		case n == -1:
			return nil, false
		case n < 0:
			panic("this event has no field " + nameOf(field))
		case int(n) <= len(buffer):
			return buffer[:n], true
		}
		buffer = make([]byte, n)
	}
}

func readString(field int32) string {
	b, _ := read(field)
	return string(b)
}

// readBytes returns nil when the field has no value.
func readBytes(field int32) []byte {
	b, ok := read(field)
	if !ok {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func readInt(field int32) int64 {
	b, ok := read(field)
	if !ok || len(b) != 8 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func readBool(field int32) bool {
	b, ok := read(field)
	return ok && len(b) == 1 && b[0] == 1
}

// readFlag returns nil when the field has no value.
func readFlag(field int32) *bool {
	b, ok := read(field)
	if !ok {
		return nil
	}
	flag := len(b) == 1 && b[0] == 1
	return &flag
}

func readTags() map[string]string {
	b, _ := read(fieldTags)
	var tags map[string]string
	if err := json.Unmarshal(b, &tags); err != nil {
		panic(err)
	}
	return tags
}

func write(field int32, b []byte) {
	switch status := hostSet(field, unsafe.Pointer(unsafe.SliceData(b)), int32(len(b))); status {
	case 0:
	case -2:
		panic("the field " + nameOf(field) + " cannot be written here")
	default:
		panic("this is no value for the field " + nameOf(field) + ": " + strconv.Quote(string(b[:min(len(b), 80)])))
	}
}

func writeString(field int32, s string) { write(field, unsafe.Slice(unsafe.StringData(s), len(s))) }

func writeInt(field int32, n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	write(field, b[:])
}

func writeBool(field int32, v bool) {
	b := [1]byte{}
	if v {
		b[0] = 1
	}
	write(field, b[:])
}

func writeJSON(field int32, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	write(field, b)
}
