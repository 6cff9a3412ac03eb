package packaging_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/internal/testenv"
)

const root = "../.."

// project is what the tests look at of a Compose project, in the form `docker compose config --format json` prints.
type project struct {
	Services map[string]service
}

type service struct {
	Image       string
	Command     []string
	User        string
	Environment map[string]*string
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	CapAdd      []string `json:"cap_add"`
	SecurityOpt []string `json:"security_opt"`
	MemLimit    string   `json:"mem_limit"`
	PidsLimit   int      `json:"pids_limit"`
	Logging     struct{ Options map[string]string }
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	Ports       []struct {
		HostIP    string `json:"host_ip"`
		Published string
		Target    int
	}
	Volumes []mount
}

type mount struct {
	Type, Source, Target string
	ReadOnly             bool `json:"read_only"`
}

// composeConfig builds the checker and returns a function that runs it on a file.
func composeConfig(t *testing.T) func(file string) ([]byte, error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "composeconfig.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = "composeconfig"
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		testenv.Skip(t, "the Compose checker cannot be built, perhaps because its modules cannot be downloaded: "+lastLine(out))
	}
	return func(file string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), program, file)
		// As on a fresh machine: nothing set, nothing prepared.
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		return cmd.CombinedOutput()
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func TestCompose(t *testing.T) {
	check := composeConfig(t)
	out, err := check(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatalf("docker-compose.yml is not valid: %s", out)
	}
	var p project
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zenconn", "clickhouse", "secrets"} {
		s, ok := p.Services[name]
		if !ok {
			t.Fatalf("there is no service %s", name)
		}
		t.Run(name, func(t *testing.T) { checkService(t, s) })
	}
	t.Run("order", func(t *testing.T) {
		server, clickhouse := p.Services["zenconn"], p.Services["clickhouse"]
		if got := server.DependsOn["clickhouse"].Condition; got != "service_healthy" {
			t.Errorf("the server waits for ClickHouse until %q", got)
		}
		for name, s := range map[string]service{"zenconn": server, "clickhouse": clickhouse} {
			if got := s.DependsOn["secrets"].Condition; got != "service_completed_successfully" {
				t.Errorf("%s waits for the password until %q", name, got)
			}
			if len(s.Healthcheck.Test) == 0 || s.Healthcheck.Test[0] != "CMD" {
				t.Errorf("health check of %s: %q, want one without a shell", name, s.Healthcheck.Test)
			}
		}
		if !server.ReadOnly {
			t.Error("the server's root filesystem can be written to")
		}
	})
	t.Run("files are where the command says", func(t *testing.T) {
		server := p.Services["zenconn"]
		for _, want := range []string{"/etc/zenconn/zenconn.yaml", "/run/zenconn/clickhouse.yaml"} {
			mounted := slices.ContainsFunc(server.Volumes, func(v mount) bool {
				return v.ReadOnly && (v.Target == want || v.Target == filepath.ToSlash(filepath.Dir(want)))
			})
			if !slices.Contains(server.Command, want) || !mounted {
				t.Errorf("the command is %q: want %s in it, from a read-only volume", server.Command, want)
			}
		}
	})
}

func checkService(t *testing.T, s service) {
	t.Helper()
	if tag := s.Image[strings.LastIndex(s.Image, ":")+1:]; tag == s.Image || tag == "latest" || tag == "head" {
		t.Errorf("image %s: want a version, so that tomorrow's start is today's", s.Image)
	}
	if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("cap_drop %q, security_opt %q: want ALL and no-new-privileges", s.CapDrop, s.SecurityOpt)
	}
	if s.User == "" || s.User == "0:0" && !slices.Equal(s.CapAdd, []string{"CHOWN"}) {
		t.Errorf("user %q with capabilities %q: want an ordinary user, or root that can do nothing but chown", s.User, s.CapAdd)
	}
	if s.MemLimit == "" || s.PidsLimit == 0 || s.Logging.Options["max-size"] == "" {
		t.Errorf("memory %q, processes %d, log size %q: want a limit for each", s.MemLimit, s.PidsLimit, s.Logging.Options["max-size"])
	}
	for name := range s.Environment {
		if strings.Contains(name, "PASSWORD") || strings.Contains(name, "SECRET") {
			t.Errorf("%s stands in the environment, where every process and `docker inspect` can read it", name)
		}
	}
	for _, port := range s.Ports {
		if ip, err := netip.ParseAddr(port.HostIP); err != nil || !ip.IsLoopback() {
			t.Errorf("port %s is published on %q: a demo that lets everybody in belongs to this machine only", port.Published, port.HostIP)
		}
	}
	for _, v := range s.Volumes {
		if v.Type != "bind" {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			t.Errorf("%s is mounted and not in the repository: %v", v.Target, err)
		}
		if !v.ReadOnly {
			t.Errorf("%s of the repository can be written to", v.Target)
		}
	}
}

func TestComposeCheckerRefuses(t *testing.T) {
	check := composeConfig(t)
	tests := []struct{ name, text, want string }{
		{"unknown key", "services: {a: {image: b, comand: c}}", "comand"},
		{"undefined volume", "services: {a: {image: b, volumes: ['data:/data']}}", "data"},
		{"undefined dependency", "services: {a: {image: b, depends_on: [c]}}", "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "docker-compose.yml")
			if err := os.WriteFile(file, []byte("name: x\n"+tt.text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := check(file); err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s; want an error that names %q", err, out, tt.want)
			}
		})
	}
}
