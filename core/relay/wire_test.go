package relay_test

import (
	"encoding/hex"
	"testing"

	"github.com/zenconn/server/core/relay"
)

func TestDecode(t *testing.T) {
	for name, test := range map[string]struct {
		data string // In hexadecimal.
		ok   bool
	}{
		"a publication cut off":      {"0101" + "010722", false}, // Cut off within its body.
		"a publication with data":    {"0101" + "0103" + "2201" + "78", true},
		"with a field of the future": {"0101" + "7f02abcd" + "0103" + "220178", true},
		"a join":                     {"0102" + "0103" + "0a0175", true},
		"a leave":                    {"0103" + "0100", true},
		"no fields":                  {"0101", true},
		"a kind of the future":       {"0104", false},
		"another version":            {"0201", false},
		"nothing":                    {"", false},
		"only a version":             {"01", false},
		"a field without a length":   {"010101", false},
		"too long a field":           {"01010105ab", false},
		"an endless length":          {"010101ffffffffffffffffffff01", false},
		"a length beyond everything": {"010101ffffffffffffffff7f", false},
		"a body that is no message":  {"01010101ff", false},
	} {
		data, err := hex.DecodeString(test.data)
		if err != nil {
			t.Fatal(err)
		}
		if err := relay.Decode("a", data); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 1, 1, 3, 0x22, 1, 'x'})
	f.Add([]byte{1, 2, 1, 3, 0x0a, 1, 'u', 0x7f, 0})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = relay.Decode("a", data) // It must end, and not panic.
	})
}
