package imports

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/zenconn/server"

func TestImportsPointInward(t *testing.T) {
	g := load(t)
	if len(g.own()) < 10 {
		t.Fatalf("go list knows only %d packages of this module: %v", len(g.own()), g.own())
	}
	for _, v := range g.violations() {
		t.Error(v)
	}
}

// load asks the Go command for this module's packages and all they import. Packages that do not compile are listed too: that is
// another test's business.
func load(t *testing.T) graph {
	t.Helper()
	visit(t, "../..")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Name,Imports,TestImports,XTestImports,Standard",
		module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Name                   string
			Imports, TestImports, XTestImports []string
			Standard                           bool
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("read the answer of go list: %v", err)
		}
		g[relative(p.ImportPath)] = pkg{
			imports:     relatives(p.Imports),
			testImports: relatives(append(p.TestImports, p.XTestImports...)),
			std:         p.Standard,
			own:         p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/"),
		}
	}
}

// visit looks into every folder, so that go test sees what the result depends on and does not show an old one from its cache.
func visit(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "data") {
			return fs.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Another test's file, gone again.
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func relatives(paths []string) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = relative(path)
	}
	return names
}

func relative(path string) string {
	if path == module {
		return "main"
	}
	return strings.TrimPrefix(path, module+"/")
}

// own makes a package of this module for a made-up graph.
func own(imports ...string) pkg { return pkg{imports: imports, own: true} }

func TestViolations(t *testing.T) {
	std := pkg{std: true}
	foreign := func(imports ...string) pkg { return pkg{imports: imports} }
	tests := []struct {
		name  string
		graph graph
		want  []string // What each violation contains; nil: there is none.
	}{
		{
			name: "as designed",
			graph: graph{
				"core": own("errors"), "errors": std, "core/protocol": own("core", "google.golang.org/protobuf/proto"),
				"google.golang.org/protobuf/proto": foreign(), "core/hub": own("core", "core/protocol"), "core/session": own("core", "core/hub", "hooks"),
				"hooks": own("core"), "core/transport/websocket": own("core/session", "github.com/lxzan/gws", "core/transport/frame"),
				"core/transport/frame": own("core"), "core/worker": own("core/transport/websocket", "hooks/lua"), "hooks/lua": own("hooks", "github.com/yuin/gopher-lua"),
				"core/agent": own("core/worker"), "bench": own("core/protocol", "github.com/lxzan/gws"), "core/cli": own("core/agent", "bench"), "main": own("core/cli"),
				"test/server": own("testing"), "internal/testenv": own("testing"), "testing": std,
			},
		},
		{
			name:  "the vocabulary imports a module",
			graph: graph{"core": own("github.com/google/uuid"), "github.com/google/uuid": foreign()},
			want:  []string{"core must not import github.com/google/uuid: core is the vocabulary"},
		},
		{
			name:  "inner package imports an outer one",
			graph: graph{"core/protocol": own("core/session"), "core/session": own()},
			want:  []string{"core/protocol must not import core/session: imports point inward", "core/protocol must not import core/session: the protocol is bytes"},
		},
		{
			name:  "neighbours of a layer",
			graph: graph{"core/channel": own("core/auth"), "core/auth": own()},
			want:  []string{"core/channel must not import core/auth: imports point inward"},
		},
		{
			name:  "a package without a place",
			graph: graph{"core/misc": own()},
			want:  []string{"core/misc has no place in the table of layers"},
		},
		{
			name: "the session reaches the bus through others",
			graph: graph{
				"core/session": own("core/history"), "core/history": own("example.com/log"), "example.com/log": foreign("github.com/nats-io/nats.go"),
				"github.com/nats-io/nats.go": foreign(),
			},
			want: []string{"core/session must not reach github.com/nats-io/nats.go (core/session → core/history → example.com/log → github.com/nats-io/nats.go): sessions and the hub see"},
		},
		{
			name: "the configuration may bring koanf along, but not be bypassed",
			graph: graph{
				"core/session": own("core/config"), "core/config": own("github.com/knadh/koanf/v2"), "github.com/knadh/koanf/v2": foreign(),
				"core/hub": own("github.com/knadh/koanf/v2"),
			},
			want: []string{"core/hub must not import github.com/knadh/koanf/v2: a configuration was read", "core/hub must not import github.com/knadh/koanf/v2, only core/config may"},
		},
		{
			name:  "a sink knows the session",
			graph: graph{"audit/sqlite": own("audit", "core/channel"), "audit": own("core"), "core": own(), "core/channel": own()},
			want:  []string{"audit/sqlite must not import core/channel: imports point inward", "audit/sqlite must not reach core/channel"},
		},
		{
			name:  "the server uses the load generator",
			graph: graph{"core/agent": own("bench"), "bench": own()},
			want:  []string{"core/agent must not import bench: imports point inward", "core/agent must not import bench, only core/cli may: the load generator"},
		},
		{
			name:  "the product uses what serves tests",
			graph: graph{"core/worker": own("internal/testenv", "testing"), "internal/testenv": own(), "testing": std},
			want: []string{
				"core/worker must not import internal/testenv: imports point inward",
				"core/worker must not import internal/testenv, only", "core/worker must not import testing, only",
			},
		},
		{
			name:  "tests may use what serves tests, and not main",
			graph: graph{"core": {own: true, testImports: []string{"testing", "internal/testenv", "main"}}, "internal/testenv": own(), "testing": std, "main": own()},
			want:  []string{"the tests of core must not import main"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.graph.violations()
			for i := range max(len(got), len(tt.want)) {
				switch {
				case i >= len(got):
					t.Errorf("missing: %s", tt.want[i])
				case i >= len(tt.want):
					t.Errorf("unexpected: %s", got[i])
				case !strings.Contains(got[i], tt.want[i]):
					t.Errorf("got  %s\nwant %s", got[i], tt.want[i])
				}
			}
		})
	}
}
