package cli

import (
	"strings"
	"testing"

	"github.com/zenconn/server/audit/ask"
)

func TestBars(t *testing.T) {
	var out strings.Builder
	b := &bars{out: &out, width: 30, chart: ask.Chart{Labels: []string{"name", "why"}, Value: "n"}}
	must(t, b.columns([]string{"n", "name", "other", "why"}))
	must(t, b.row([]any{uint64(160), "日本", nil, "a"}))
	must(t, b.row([]any{80, "chat\x1b[2J", nil, nil}))
	must(t, b.row([]any{"1", "", nil, "b"}))
	must(t, b.row([]any{0, "none", nil, ""}))
	must(t, b.end())
	want := `
n
日本 a       160  ████████████
chat\x1b[2J   80  ██████
b              1  ▏
none           0
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestBarsOfManyRows(t *testing.T) {
	var out strings.Builder
	b := &bars{out: &out, width: 80, chart: ask.Chart{Labels: []string{"name"}, Value: "n"}}
	must(t, b.columns([]string{"name", "n"}))
	for n := range 1000 {
		must(t, b.row([]any{"x", 1000 - n}))
	}
	must(t, b.end())
	if lines := strings.Count(out.String(), "\n"); lines != mostBars+2 {
		t.Errorf("%d lines", lines)
	}
}
