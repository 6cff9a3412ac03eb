package profile_test

import (
	"bytes"
	"compress/gzip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zenconn/server/bench/profile"
)

// message writes a protobuf message of (field, value) pairs: numbers, or bytes.
func message(pairs ...any) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		number := protowire.Number(pairs[i].(int))
		switch v := pairs[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), v)
		}
	}
	return b
}

func compressed(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(plain) //nolint:errcheck // A buffer takes everything.
	w.Close()      //nolint:errcheck // The same.
	return b.Bytes()
}

// packed writes numbers as a packed field has them.
func packed(numbers ...uint64) (b []byte) {
	for _, n := range numbers {
		b = protowire.AppendVarint(b, n)
	}
	return b
}

// handmade is a profile of main, which calls work, which calls itself and has hash inlined.
func handmade() []byte {
	return compressed(message(
		6, "", 6, "main", 6, "work", 6, "hash",
		5, message(1, 1, 2, 1), 5, message(1, 2, 2, 2), 5, message(1, 3, 2, 3),
		4, message(1, 10, 4, message(1, 1, 2, 17)),
		4, message(1, 20, 4, message(1, 2)),
		4, message(1, 30, 4, message(1, 3), 4, message(1, 2)), // hash within work.
		2, message(1, packed(30, 20, 10), 2, packed(3, 3_000_000)),
		2, message(1, 20, 1, 10, 2, 5, 2, 5_000_000), // Not packed.
		2, message(1, packed(10), 2, packed(1, 1_000_000)),
	))
}

func TestTop(t *testing.T) {
	ms := time.Millisecond
	top, err := profile.NewTop(handmade())
	want := &profile.Top{Total: 9 * ms, Functions: []profile.Function{{"work", 5 * ms, 8 * ms}, {"hash", 3 * ms, 3 * ms}, {"main", ms, 9 * ms}}}
	if err != nil || !reflect.DeepEqual(top, want) {
		t.Errorf("got %+v, %v", top, err)
	}
	if top, err = profile.NewTop(handmade(), handmade()); err != nil || top.Total != 18*ms || top.Functions[0] != (profile.Function{Name: "work", Flat: 10 * ms, Cum: 16 * ms}) {
		t.Errorf("two together: %+v, %v", top, err)
	}
	if top, err = profile.NewTop(); err != nil || len(top.Functions) != 0 {
		t.Errorf("of nothing: %+v, %v", top, err)
	}
}

func TestDamagedProfiles(t *testing.T) {
	for name, text := range map[string][]byte{
		"empty":           nil,
		"not compressed":  message(6, "main"),
		"cut off":         handmade()[:30],
		"half a field":    compressed([]byte{0x12, 0x20, 1}),
		"half a number":   compressed(message(2, message(1, []byte{0x80}, 2, 1))),
		"half a location": compressed(message(4, []byte{0x08})),
		"half a line":     compressed(message(4, message(4, []byte{0x08}))),
		"half a function": compressed(message(5, []byte{0x08})),
		"no value":        compressed(message(2, message(1, 1))),
	} {
		if top, err := profile.NewTop(text); err == nil {
			t.Errorf("%s: %+v", name, top)
		}
	}
	// What names nothing is a profile too.
	top, err := profile.NewTop(compressed(message(4, message(1, 1, 4, message(1, 7)), 2, message(1, 1, 2, 6))))
	if err != nil || len(top.Functions) != 1 || top.Functions[0].Name != "?" {
		t.Errorf("an unknown function: %+v, %v", top, err)
	}
}
