package audittest

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// answerTime is how long a ClickHouse that tests share may take to answer. It only ends what hangs.
const answerTime = 5 * time.Minute

// ClickHouse makes an empty database of the test's own on the server of a DSN, and returns the DSN of it. It is dropped when the test has
// ended. Whoever connects by this DSN waits for a slow server as long as the tests do, if nothing else is said.
func ClickHouse(t testing.TB, server string) *url.URL {
	t.Helper()
	dsn, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	parameters := dsn.Query()
	parameters.Set("dial_timeout", "1m") // Also for the server's greeting.
	dsn.RawQuery = parameters.Encode()
	options, err := clickhouse.ParseDSN(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	name := "zenconn_test_" + strings.ToLower(rand.Text())
	do := func(ctx context.Context, statement string) error {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		return conn.Exec(ctx, statement)
	}
	t.Cleanup(func() {
		defer conn.Close() //nolint:errcheck // It says nothing.
		// Without IF EXISTS it could not be said of one whose making failed only in its answer.
		if err := do(context.WithoutCancel(t.Context()), "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Errorf("a database is left behind: %v", err)
		}
	})
	if err := do(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + name
	return dsn
}
