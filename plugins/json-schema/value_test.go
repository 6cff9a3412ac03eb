package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzParse compares with the library: what one reads, the other reads, except what is refused on purpose.
func FuzzParse(f *testing.F) {
	many := `{"a":0` + strings.Repeat(`,"b":0`, 20) + `}`
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,"x\n\u00e9",null,true,false,{}]}`, `"\ud800"`, "\"\xff\"", "-0", "01", "1.", "1e", "-", "nul", `"a`, `"\x"`, "\"\n\"", `{"a" 1}`, `{"a":1,"a":2}`,
		`[1,]`, "[1 2]", " [ ] ", "{}x", many, strings.Repeat("[", 300),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if valid := json.Valid(b); (err == nil) && !valid || errors.Is(err, errNotJSON) && valid {
			t.Fatalf("%q: %v; the library says %v", b, err, valid)
		}
		if err != nil {
			return
		}
		var raw any
		if json.Unmarshal(b, &raw) != nil { // A number that is too large for it.
			return
		}
		if again := literal(raw); !again.equal(&v) || !v.equal(again) {
			t.Fatalf("%q is read as %+v, the library has %+v", b, v, again)
		}
	})
}

// A number of names too many to look at each is told apart as well.
func TestParseManyMembers(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`"` + strings.Repeat("a", i) + `":1,`)
	}
	if v, err := parse([]byte("{" + b.String() + `"b":1}`)); err != nil || len(v.members) != 101 {
		t.Errorf("%d members, %v", len(v.members), err)
	}
	for _, twice := range []string{"", "aaa", strings.Repeat("a", 99)} {
		if _, err := parse([]byte("{" + b.String() + `"` + twice + `":1}`)); err == nil || !strings.HasSuffix(err.Error(), "twice") {
			t.Errorf("%q twice: %v", twice, err)
		}
	}
}
