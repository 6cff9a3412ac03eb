package cli_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// recorded makes a store with the story of audittest in it and keeps it open, as a server does.
func recorded(t *testing.T, c config.Audit) {
	t.Helper()
	s, err := store.Open(c, "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Write(t.Context(), audittest.Story()); err != nil {
		t.Fatal(err)
	}
}

func TestAuditQueryTable(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	got := typed(t, nil, "audit", "query", "SELECT user, size, offset, payload, NULL AS missing FROM audit_messages ORDER BY at")
	want := command{0, `user   size               offset  payload           missing
-----  ----  -------------------  ----------------  -------
alice    17                    1  {"text":"grüße"}  NULL
alice     3  1152921504606846976  0xff0080          NULL
(2 rows)
`, ""}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := typed(t, nil, "audit", "query", "SELECT at FROM audit_messages WHERE user = 'nobody'"); got.stdout != "at\n--\n(0 rows)\n" {
		t.Errorf("an empty answer: %+v", got)
	}
}

func TestAuditQueryTableShowsNoControlCharacters(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	got := typed(t, nil, "audit", "query", "SELECT char(27) || '[2J' || char(10) || '日本' AS a, 1 AS b")
	want := "a              b\n-------------  -\n\\x1b[2J\\n日本  1\n(1 row)\n"
	if got.stdout != want {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, want)
	}
}

func TestAuditQueryLongAnswer(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	const numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n"
	lines := strings.Split(typed(t, nil, "audit", "query", numbers).stdout, "\n")
	if len(lines) != 2504 || lines[2] != "   1" || lines[2501] != "2500" || lines[2502] != "(2500 rows)" {
		t.Errorf("%d lines, first %q, last %q", len(lines), lines[:3], lines[len(lines)-3:])
	}
}

func TestAuditQueryJSON(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	got := typed(t, nil, "audit", "query", "--json", "SELECT user, payload, tags, 1.5 AS n, NULL AS missing FROM audit_messages ORDER BY at")
	want := `{"user":"alice","payload":"{\"text\":\"grüße\"}","tags":{"a":"\"quoted\"","lang":"de"},"n":1.5,"missing":null}` + "\n" +
		`{"user":"alice","payload":"0xff0080","tags":{},"n":1.5,"missing":null}` + "\n"
	if got.stdout != want || got.code != 0 {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
	for line := range strings.Lines(got.stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestAuditQueryCSV(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	got := typed(t, nil, "audit", "query", "--csv", `SELECT 'a,"b"' || char(10) || 'c' AS x, NULL AS y, ok FROM audit_actions ORDER BY at`)
	if !strings.HasPrefix(got.stdout, "x,y,ok\r\n") {
		t.Errorf("no head with the line end of RFC 4180: %q", got.stdout)
	}
	rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
	want := [][]string{{"x", "y", "ok"}, {"a,\"b\"\nc", "", "true"}, {"a,\"b\"\nc", "", "false"}}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("got %q, %v", rows, err)
	}
}

func TestAuditQueryFromStandardInput(t *testing.T) {
	inFolder(t)
	recorded(t, config.Audit{})
	var stdout, stderr strings.Builder
	code := cli.RunEnviron(t.Context(), []string{"audit", "query", "--csv", "-"}, nil, strings.NewReader("SELECT 1 AS one;\n"), &stdout, &stderr)
	if code != 0 || stdout.String() != "one\r\n1\r\n" {
		t.Errorf("exit code %d, %q, %q", code, stdout.String(), stderr.String())
	}
}

func TestAuditQuerySeesWhatWasJustWritten(t *testing.T) {
	inFolder(t)
	s, err := store.Open(config.Audit{}, "data")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []string{"n\r\n2\r\n", "n\r\n4\r\n"} {
		b := audittest.Story()
		b.Token = core.NewID().String() // One that was written already would be skipped.
		for _, m := range b.Messages {
			m.ID = core.NewID()
		}
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if got := typed(t, nil, "audit", "query", "--csv", "SELECT count(*) AS n FROM audit_messages"); got.stdout != want {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
}

func TestAuditQueryErrors(t *testing.T) {
	inFolder(t, "garbage.db", strings.Repeat("no database at all ", 300))
	const select1 = "SELECT 1"
	missing := filepath.Join("data", "audit.db")
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"no file yet":       {[]string{select1}, 1, []string{"no audit database at " + missing, "the server creates it"}},
		"no such file":      {[]string{select1, "--audit.sqlite.path=nowhere.db", "--demo"}, 1, []string{"no audit database at nowhere.db"}},
		"not a database":    {[]string{select1, "--audit.sqlite.path=garbage.db", "--demo"}, 1, []string{"garbage.db is not a SQLite database"}},
		"nothing recorded":  {[]string{select1, "--audit.store=none", "--demo"}, 1, []string{"audit.store is none"}},
		"no server":         {[]string{select1, "--audit.clickhouse.dsn=clickhouse://u:sEcret@127.0.0.1:1/db", "--demo"}, 1, []string{"127.0.0.1:1", "connection refused"}},
		"empty statement":   {[]string{"  "}, 2, []string{"the SQL statement is empty"}},
		"no statement":      {nil, 2, []string{`zenconn audit query "SELECT at, channel`, "audit_decisions", "audit_messages_delivered", "zenconn audit ask"}},
		"two formats":       {[]string{select1, "--json", "--csv"}, 2, []string{"json", "csv"}},
		"two statements":    {[]string{select1, select1}, 2, []string{"2 arguments, want one: put the statement in quotes"}},
		"wrong config file": {[]string{select1, "--config=nowhere.yaml"}, 2, []string{"nowhere.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkFailure(t, typed(t, nil, append([]string{"audit", "query"}, test.args...)...), test.code, test.want)
		})
	}
	recorded(t, config.Audit{})
	for name, test := range map[string]struct{ query, want string }{
		"unknown column": {"SELECT nonsense FROM audit_messages", "no such column: nonsense"},
		"no SQL":         {"who was here?", `near "who": syntax error`},
		"a change":       {"DELETE FROM audit_messages", "readonly"},
	} {
		t.Run(name, func(t *testing.T) {
			checkFailure(t, typed(t, nil, "audit", "query", test.query), 1, []string{test.want})
		})
	}
}

func checkFailure(t *testing.T, got command, code int, want []string) {
	t.Helper()
	if got.code != code || got.stdout != "" {
		t.Errorf("exit code %d, standard output %q; want %d and nothing", got.code, got.stdout, code)
	}
	for _, part := range append(want, "zenconn: ") {
		if !strings.Contains(got.stderr, part) {
			t.Errorf("the message lacks %q: %s", part, got.stderr)
		}
	}
	if strings.Contains(got.stderr, "sEcret") {
		t.Errorf("the message shows the password: %s", got.stderr)
	}
}

// TestAuditQueryExamples runs every example of the help on both stores.
func TestAuditQueryExamples(t *testing.T) {
	help := typed(t, nil, "audit", "query", "--help").stdout
	examples := regexp.MustCompile(`zenconn audit query "([^"]+)"`).FindAllStringSubmatch(help, -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples in the help:\n%s", len(examples), help)
	}
	answers := func(t *testing.T, environ []string) (out []string) {
		for _, example := range examples {
			got := typed(t, environ, "audit", "query", "--csv", example[1])
			if got.code != 0 || strings.Count(got.stdout, "\r\n") < 2 {
				t.Errorf("%s: %+v, want at least one row", example[1], got)
			}
			out = append(out, got.stdout)
		}
		return out
	}
	var small []string
	t.Run("SQLite", func(t *testing.T) {
		inFolder(t)
		recorded(t, config.Audit{})
		small = answers(t, nil)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		inFolder(t)
		dsn := clickHouseDatabase(t)
		recorded(t, config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}})
		big := answers(t, []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=" + dsn, "ZENCONN_DEMO=true"})
		if !reflect.DeepEqual(big, small) {
			t.Errorf("the stores answer differently:\nSQLite     %q\nClickHouse %q", small, big)
		}
	})
}

// clickHouseDatabase makes an empty database of the test's own and returns its DSN.
func clickHouseDatabase(t testing.TB) string {
	t.Helper()
	return audittest.ClickHouse(t, testenv.ClickHouse(t)).String()
}

// TestAuditDocumentExamples checks that every example of docs/audit.md has, on both stores, the output that is shown.
func TestAuditDocumentExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```console\n\\$ zenconn audit query \"([^\"]+)\"\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 5 {
		t.Fatalf("%d examples", len(examples))
	}
	check := func(t *testing.T, environ []string) {
		for _, example := range examples {
			query, want := audittest.Dated(example[1]), audittest.Dated(example[2])
			if got := typed(t, environ, "audit", "query", query); got.stdout != want {
				t.Errorf("%s\nprints\n%s%s\nthe document says\n%s", query, got.stdout, got.stderr, want)
			}
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		inFolder(t)
		recorded(t, config.Audit{})
		check(t, nil)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		inFolder(t)
		dsn := clickHouseDatabase(t)
		recorded(t, config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}})
		check(t, []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=" + dsn, "ZENCONN_DEMO=true"})
	})
}
