package cli

import (
	"strings"
	"testing"
)

func TestTableFitsTheTerminal(t *testing.T) {
	var out strings.Builder
	table := newTable(&out, 60)
	must(t, table.columns([]string{"at", "n", "text"}))
	must(t, table.row([]any{"2026-11-21 10:00:00.123", 7, strings.Repeat("grüße ", 10)}))
	must(t, table.row([]any{"2026-11-21 10:00:01.123", 12345, "日本語日本語日本語日本語"}))
	must(t, table.end())
	want := `at                           n  text
-----------------------  -----  ----------------------------
2026-11-21 10:00:00.123      7  grüße grüße grüße grüße grü…
2026-11-21 10:00:01.123  12345  日本語日本語日本語日本語
(2 rows)
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestTableNeverCutsToNothing(t *testing.T) {
	var out strings.Builder
	table := newTable(&out, 10)
	must(t, table.columns([]string{"a", "b"}))
	must(t, table.row([]any{strings.Repeat("x", 50), strings.Repeat("y", 50)}))
	must(t, table.end())
	if !strings.Contains(out.String(), strings.Repeat("x", 22)+"…  "+strings.Repeat("y", 22)+"…") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "grüße": 5, "e\u0301": 1, "日本": 4, "한국": 4, "👍": 2, "→": 1} {
		if got := width(text); got != want {
			t.Errorf("width(%q) = %d, want %d", text, got, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
