package wasm

import (
	"reflect"
	"testing"
)

// FuzzTags holds the quick reader of tags to the general one.
func FuzzTags(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":"b"}`, "{ \"a\" : \"b\" ,\n\"c\":\"\" }", `{"a":"b","a":"c"}`, `{"a":"\n"}`, `{"a":1}`, `{"a":"b",}`, `{,}`, `{"a"}`, `{"a":"b"}}`,
		`[]`, `null`, `{"a":null}`, "{\"a\":\"\xff\"}", "{\"a\":\"\x01\"}", `{"é":"😀"}`, `{"":""}`, `{"a":"b"`, `"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		quick, ok := flatTags(b)
		if !ok {
			return
		}
		var slow map[string]string
		if err := decode(b, &slow); err != nil || !reflect.DeepEqual(quick, slow) {
			t.Errorf("%q is %v, or %v, %v", b, quick, slow, err)
		}
	})
}

func TestTagsAllocateLittle(t *testing.T) {
	b := []byte(`{"filter":"masked","words":"2"}`)
	if n := testing.AllocsPerRun(200, func() {
		if _, ok := flatTags(b); !ok {
			t.Fatal("not read quickly")
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}
