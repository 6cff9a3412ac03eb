package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The packages of a module whose tests end in every way a test can end.
var module = map[string]string{
	"go.mod": "module example.test/m\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
func TestOne(t *testing.T) { t.Log("noise"); t.Run("a", func(t *testing.T) {}) }
`,
	"skips/skips_test.go": `package skips
import "testing"
func TestOne(t *testing.T)   {}
func TestNode(t *testing.T)  { t.Log("looking"); t.Skip("SKIPPED: node is not installed") }
func TestNode2(t *testing.T) { t.Skip("SKIPPED: node is not installed") }
func TestMute(t *testing.T)  { t.SkipNow() }
`,
	"bad/bad_test.go": `package bad
import "testing"
func TestGood(t *testing.T) {}
func TestBad(t *testing.T)  { t.Run("inner", func(t *testing.T) { t.Error("two and two are five") }) }
`,
	"panics/panics_test.go": `package panics
import "testing"
func TestPanic(t *testing.T) { panic("everything burns") }
`,
	"exits/exits_test.go": `package exits
import ("fmt"; "os"; "testing")
func TestExit(t *testing.T) { fmt.Println("last words"); os.Exit(3) }
`,
	"leaks/leaks_test.go": `package leaks
import ("fmt"; "os"; "testing")
func TestFine(t *testing.T) {}
func TestMain(m *testing.M) { m.Run(); fmt.Println("something was left behind"); os.Exit(1) }
`,
	"broken/broken_test.go": `package broken
import "testing"
func TestNever(t *testing.T) { undefined() }
`,
	"empty/empty.go": "package empty\n",
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range module {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "off")

	tests := []struct {
		name       string
		args       []string
		requireAll bool
		ok         bool
		want       []string // In this order.
		not        []string
	}{
		{
			name: "success is quiet", args: []string{"./good", "./empty"}, ok: true,
			want: []string{"ok  \texample.test/m/good\t", "\n\n2 passed, 0 failed, 0 skipped\n"},
			not:  []string{"noise", "Skipped:", "Failed:", "--- PASS"},
		},
		{
			name: "verbose names what passed", args: []string{"-v", "./good"}, ok: true,
			want: []string{"--- PASS: TestOne/a (", "--- PASS: TestOne (", "2 passed, 0 failed, 0 skipped\n"},
			not:  []string{"noise"},
		},
		{
			name: "skips are grouped by reason", args: []string{"./skips"}, ok: true,
			want: []string{
				"Skipped:\n  no reason given\n    example.test/m/skips TestMute\n",
				"  node is not installed\n    example.test/m/skips TestNode\n    example.test/m/skips TestNode2\n",
				"1 passed, 0 failed, 3 skipped\n",
			},
		},
		{
			name: "skips are failures where all is required", args: []string{"./skips"}, requireAll: true,
			want: []string{"ZENCONN_TEST_REQUIRE=all: a skipped test is a failure.", "1 passed, 0 failed, 3 skipped\n"},
		},
		{
			name: "failure is shown", args: []string{"./bad"},
			want: []string{
				"two and two are five", "--- FAIL: TestBad", "FAIL\texample.test/m/bad",
				"Failed:\n  example.test/m/bad TestBad/inner\n  example.test/m/bad TestBad\n", "1 passed, 2 failed, 0 skipped\n",
			},
		},
		{
			name: "panic", args: []string{"./panics"},
			want: []string{"everything burns", "Failed:\n  example.test/m/panics TestPanic\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "exit in a test", args: []string{"./exits"},
			want: []string{"last words", "Failed:\n  example.test/m/exits", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "failed TestMain", args: []string{"./leaks"},
			want: []string{"something was left behind", "Failed:\n  example.test/m/leaks\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "failed build", args: []string{"./good", "./broken"},
			want: []string{"undefined: undefined", "Failed:\n  build of example.test/m/broken", "2 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "nothing to run is no success", args: []string{"./empty"},
			want: []string{"No test was run.", "0 passed, 0 failed, 0 skipped\n"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := run(t.Context(), tt.args, tt.requireAll, &out)
			if err != nil {
				t.Fatal(err)
			}
			if ok != tt.ok {
				t.Errorf("ok = %v, want %v", ok, tt.ok)
			}
			rest := out.String()
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("no %q where it was expected in:\n%s", want, out.String())
				}
				rest = after
			}
			for _, not := range tt.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q in:\n%s", not, out.String())
				}
			}
		})
	}
}

func TestRunRefusedByGo(t *testing.T) {
	var out strings.Builder
	ok, err := run(t.Context(), []string{"-mod=nonsense"}, false, &out)
	if ok || err != nil || !strings.Contains(out.String(), "No test was run.") {
		t.Errorf("run = %v, %v; want a failure that says that nothing ran:\n%s", ok, err, out.String())
	}
}

func TestSlowest(t *testing.T) {
	var out strings.Builder
	r := newReport(&out, false)
	var stream strings.Builder
	for i := range 12 {
		fmt.Fprintf(&stream, `{"Action":"pass","Package":"p%d","Test":"TestSlow","Elapsed":%d}
{"Action":"pass","Package":"p%d","Test":"TestSlow/part","Elapsed":%d}
{"Action":"pass","Package":"p%d","Elapsed":%d}
`, i, 10+i, i, 9+i, i, 20+i)
	}
	stream.WriteString(`{"Action":"pass","Package":"quick","Test":"TestQuick","Elapsed":0.5}`)
	if err := r.read(strings.NewReader(stream.String())); err != nil {
		t.Fatal(err)
	}
	r.summarize(false)
	got := out.String()
	for _, want := range []string{"The slowest packages:\n   31.0 s  p11\n   30.0 s  p10\n", "   22.0 s  p2\n\nThe slowest tests:\n   21.0 s  p11 TestSlow\n", "   12.0 s  p2 TestSlow\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, not := range []string{"p1\n", "p0 ", "part", "quick"} {
		if strings.Contains(got, not) {
			t.Errorf("%q in:\n%s", not, got)
		}
	}
}
