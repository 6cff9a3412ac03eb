package wasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/internal/testenv"
)

// compiled keeps the machine code of guests in Go, which takes seconds to make, while the tests run.
var compiled string

func TestMain(m *testing.M) {
	var err error
	if compiled, err = os.MkdirTemp("", "zenconn-compiled"); err != nil {
		panic(err)
	}
	testenv.Main(m, func() { os.RemoveAll(compiled) }) //nolint:errcheck // A left-over in the temporary directory.
}

var guests sync.Map // The folder of a guest that was compiled → func() ([]byte, error).

// guest compiles a guest of testdata/guests with this Go.
func guest(t testing.TB, name string) []byte {
	t.Helper()
	build, _ := guests.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "zenconn-guest") //nolint:usetesting // It serves the tests that come after this one, too.
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // A left-over in the temporary directory.
		file := filepath.Join(dir, name+".wasm")
		cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", file, "./"+name)
		cmd.Dir = "testdata/guests"
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return out, err
		}
		return os.ReadFile(file)
	}))
	binary, err := build.(func() ([]byte, error))()
	if err != nil {
		t.Fatalf("building the guest %s: %v\n%s", name, err, binary)
	}
	return binary
}

func load(t testing.TB, binary []byte, o wasm.Options) *wasm.Plugin {
	t.Helper()
	if o.Cache == "" && len(binary) > 1<<20 {
		o.Cache = compiled
	}
	p, err := wasm.LoadSource(t.Context(), "test.wasm", binary, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}
