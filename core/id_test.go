package core_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
)

func TestIDText(t *testing.T) {
	const text = "01890a5d-ac96-774b-bcce-b302099a8057" // Of 2023-06-29 and some milliseconds.
	id, err := core.ParseID(text)
	if err != nil || id.String() != text {
		t.Fatalf("got %s, %v", id, err)
	}
	want := core.ID{0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x57}
	if id != want {
		t.Errorf("got % x", id[:])
	}
	if at := id.Time(); at.UnixMilli() != 0x01890a5dac96 {
		t.Errorf("made at %s", at)
	}
	if upper, err := core.ParseID(strings.ToUpper(text)); err != nil || upper != id {
		t.Errorf("upper case: got %s, %v", upper, err)
	}
	if none := (core.ID{}); !none.IsZero() || none.String() != "00000000-0000-0000-0000-000000000000" || id.IsZero() {
		t.Errorf("the zero ID is %s", none)
	}
}

func TestParseIDRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"too short":        "01890a5d-ac96-774b-bcce-b302099a805",
		"too long":         "01890a5d-ac96-774b-bcce-b302099a80577",
		"without dashes":   "01890a5dac96774bbcceb302099a8057",
		"braces":           "{1890a5d-ac96-774b-bcce-b302099a805}",
		"dash missing":     "01890a5d0ac96-774b-bcce-b302099a8057",
		"dash moved":       "01890a5dac96--774b-bcce-b302099a8057",
		"dash too many":    "01890a5d-ac96-774b-bcce-b302-99a8057",
		"no hexadecimal":   "01890a5d-ac96-774b-bcce-b302099a805g",
		"space":            "01890a5d-ac96-774b-bcce-b302099a805 ",
		"other characters": "01890a5d-ac96-774b-bcce-b302099a80é",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := core.ParseID(text); !errors.Is(err, core.ErrBadID) || !id.IsZero() {
				t.Errorf("got %s, %v", id, err)
			}
		})
	}
}

func TestNewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []core.ID
		for range 100 {
			id := core.NewID()
			if id.IsZero() || !id.Time().Equal(time.Now().Truncate(time.Millisecond)) {
				t.Fatalf("%s was made at %s, not at %s", id, id.Time(), time.Now())
			}
			if id[6]>>4 != 7 || id[8]>>6 != 0b10 {
				t.Fatalf("%s is no UUID of version 7", id)
			}
			if parsed, err := core.ParseID(id.String()); err != nil || parsed != id {
				t.Fatalf("%s is read as %s: %v", id, parsed, err)
			}
			ids = append(ids, id)
			<-time.After(time.Millisecond)
		}
		compare := func(a, b core.ID) int { return bytes.Compare(a[:], b[:]) }
		if !slices.IsSortedFunc(ids, compare) || len(slices.CompactFunc(ids, func(a, b core.ID) bool { return a == b })) != 100 {
			t.Errorf("not in order, or not unique: %v", ids)
		}
	})
	// Within one millisecond only chance tells them apart.
	seen := map[core.ID]bool{}
	for range 10_000 {
		seen[core.NewID()] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d of 10000 are unique", len(seen))
	}
}
