// Package testenv tells tests what this machine offers. It is imported by tests only.
package testenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Skip ends the test because the machine lacks something, in a way that `make test` lists. When the environment variable
// ZENCONN_TEST_REQUIRE is "all", as in CI, the test fails instead.
func Skip(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("ZENCONN_TEST_REQUIRE") == "all" {
		t.Fatalf("missing, but ZENCONN_TEST_REQUIRE=all: %s", missing)
	}
	t.Skipf("SKIPPED: %s", missing)
}

// Program returns the path of the first of the named programs that is installed, and skips the test when none is.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Skip(t, names[0]+" is not installed")
	return ""
}

// ClickHouse returns the DSN of a ClickHouse server that tests may write to, and skips the test when there is none.
func ClickHouse(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("ZENCONN_TEST_CLICKHOUSE_DSN")
	if dsn == "" {
		Skip(t, "no ClickHouse server: set ZENCONN_TEST_CLICKHOUSE_DSN, for example clickhouse://default@127.0.0.1:9000/default")
	}
	return dsn
}

// ClickHouseServer returns the command that runs a ClickHouse server of the test's own, which it may kill, and skips the test when there is
// none. The test adds -path DIR -native HOST:PORT and, for one that wants a password, -user NAME -password SECRET.
func ClickHouseServer(t testing.TB) []string {
	t.Helper()
	command := strings.Fields(os.Getenv("ZENCONN_TEST_CLICKHOUSE_SERVER"))
	if len(command) == 0 {
		Skip(t, "no ClickHouse server to kill: set ZENCONN_TEST_CLICKHOUSE_SERVER to a command that takes -path DIR -native HOST:PORT")
	}
	return command
}
