package testenv_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/zenconn/server/internal/testenv"
)

// verdict is a test that notes how it was ended.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper() {}

func (v *verdict) Skipf(format string, args ...any) { v.end("skip: " + fmt.Sprintf(format, args...)) }

func (v *verdict) Fatalf(format string, args ...any) { v.end("fail: " + fmt.Sprintf(format, args...)) }

// end keeps the first verdict: the real methods do not return.
func (v *verdict) end(said string) {
	if v.said == "" {
		v.said = said
	}
}

func TestWhatTheMachineLacks(t *testing.T) {
	tests := []struct {
		name, require string
		ask           func(testing.TB)
		want          string
	}{
		{
			"a program", "", func(t testing.TB) { testenv.Program(t, "no-such-program-1", "no-such-program-2") },
			"skip: SKIPPED: no-such-program-1 is not installed",
		},
		{
			"a program that is required", "all", func(t testing.TB) { testenv.Program(t, "no-such-program") },
			"fail: missing, but ZENCONN_TEST_REQUIRE=all: no-such-program is not installed",
		},
		{
			"ClickHouse", "", func(t testing.TB) { testenv.ClickHouse(t) },
			"skip: SKIPPED: no ClickHouse server: set ZENCONN_TEST_CLICKHOUSE_DSN, for example clickhouse://default@127.0.0.1:9000/default",
		},
		{
			"a ClickHouse to kill", "", func(t testing.TB) { testenv.ClickHouseServer(t) },
			"skip: SKIPPED: no ClickHouse server to kill: set ZENCONN_TEST_CLICKHOUSE_SERVER to a command that takes -path DIR -native HOST:PORT",
		},
		{
			"other values do not require", "some", func(t testing.TB) { testenv.Skip(t, "luck") },
			"skip: SKIPPED: luck",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("ZENCONN_TEST_REQUIRE", tt.require)
			t.Setenv("ZENCONN_TEST_CLICKHOUSE_DSN", "")
			t.Setenv("ZENCONN_TEST_CLICKHOUSE_SERVER", "")
			v := &verdict{TB: t}
			tt.ask(v)
			if v.said != tt.want {
				t.Errorf("got  %s\nwant %s", v.said, tt.want)
			}
		})
	}
}

func TestProgramTakesTheFirstThatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "second.exe")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := testenv.Program(t, "first.exe", "second.exe"); got != path {
		t.Errorf("Program = %s, want %s", got, path)
	}
}

func TestFreeAddr(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		addr := testenv.FreeAddr(t)
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
