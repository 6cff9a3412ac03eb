package agent

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core/cluster"
)

func mustOpenPast(t *testing.T, dir, name string) *past {
	t.Helper()
	p, err := openPast(dir, name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The names under which agents ran on a directory are known until their sessions are settled, and when they were last alive.
func TestPast(t *testing.T) {
	dir := t.TempDir()
	p := mustOpenPast(t, dir, "a")
	if !p.seen.IsZero() || !slices.Equal(p.names, []string{"a"}) {
		t.Errorf("a new directory: %v, %v", p.names, p.seen)
	}
	seen := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, name := range []string{"b", "a", "c"} {
		if err := os.Chtimes(filepath.Join(dir, pastFile), seen, seen); err != nil {
			t.Fatal(err)
		}
		if p = mustOpenPast(t, dir, name); !p.seen.Equal(seen) {
			t.Errorf("seen %v, want %v", p.seen, seen)
		}
	}
	if want := []string{"c", "a", "b"}; !slices.Equal(p.names, want) {
		t.Errorf("names %q, want %q", p.names, want)
	}
	worker := cluster.Member{Kind: cluster.Worker, Name: "a-3", Index: 3}
	if !p.knows(worker) {
		t.Error("a worker of before is not known")
	}
	for _, m := range []cluster.Member{
		{Kind: cluster.Worker, Name: "a-3", Index: 2}, {Kind: cluster.Worker, Name: "d-3", Index: 3}, {Kind: cluster.Agent, Name: "a-3", Index: 3},
	} {
		if p.knows(m) {
			t.Errorf("%v is none of ours", m)
		}
	}
	if err := p.settled(); err != nil {
		t.Fatal(err)
	}
	if p = mustOpenPast(t, dir, "c"); !slices.Equal(p.names, []string{"c"}) {
		t.Errorf("after all is settled: %q", p.names)
	}
}

// Whatever the file holds, an agent starts, and remembers a bounded number of names.
func TestDamagedPast(t *testing.T) {
	dir := t.TempDir()
	text := "\x00\xff\n\n  \n../x\n' OR 1\n"
	for n := range 2 * pastNames {
		text += fmt.Sprintf("node-%d\n", n)
	}
	if err := os.WriteFile(filepath.Join(dir, pastFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := mustOpenPast(t, dir, "mine")
	if len(p.names) != pastNames || p.names[0] != "mine" || p.names[1] != "node-0" {
		t.Errorf("names %q", p.names)
	}
}
