package cli_test

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/cli"
)

// patience is how long a test waits for what must come. It only ends what hangs.
const patience = 5 * time.Minute

// command is what a user typed, and what became of it.
type command struct {
	code           int
	stdout, stderr string
}

func typed(t *testing.T, environ []string, args ...string) command {
	t.Helper()
	var stdout, stderr strings.Builder
	code := cli.RunEnviron(t.Context(), args, environ, strings.NewReader(""), &stdout, &stderr)
	return command{code, stdout.String(), stderr.String()}
}

// inFolder makes the test run in an empty folder with these files, given as name and content in turn.
func inFolder(t *testing.T, files ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i+1 < len(files); i += 2 {
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
		help string // Whose help it points to.
	}{
		"unknown command":         {[]string{"verzion"}, `unknown command "zenconn verzion", did you mean version?`, "zenconn"},
		"unknown subcommand":      {[]string{"config", "prnt"}, `unknown command "zenconn config prnt", did you mean print?`, "zenconn config"},
		"no subcommand":           {[]string{"config"}, "config: say which: check, print", "zenconn config"},
		"unknown flag":            {[]string{"--client.adr=x"}, "unknown flag: --client.adr, did you mean --client.addr?", "zenconn"},
		"flag in no section":      {[]string{"--addr=x"}, "unknown flag: --addr, did you mean --client.addr?", "zenconn"},
		"a section is no flag":    {[]string{"version", "--log"}, "unknown flag: --log, did you mean --log.level?", "zenconn version"},
		"hopelessly unknown flag": {[]string{"--qqqq"}, "unknown flag: --qqqq", "zenconn"},
		"unknown short flag":      {[]string{"-x"}, "unknown shorthand flag: 'x' in -x", "zenconn"},
		"flag without value":      {[]string{"--client.addr"}, "flag needs an argument: --client.addr", "zenconn"},
		"too many arguments":      {[]string{"version", "now"}, `unknown command "now" for "zenconn version"`, "zenconn version"},
		"flags that exclude":      {[]string{"config", "print", "--json", "--yaml"}, "--json and --yaml exclude each other", "zenconn config print"},
		"flag that needs another": {[]string{"config", "print", "--show-secrets"}, "--show-secrets goes with --yaml", "zenconn config print"},
		"check of nothing":        {[]string{"config", "check"}, "config check: say which file", "zenconn config check"},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t, nil, test.args...)
			want := command{2, "", "zenconn: " + test.want + "\nrun '" + test.help + " --help'\n"}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestConfigurationErrors(t *testing.T) {
	inFolder(t, "a.yaml", "client:\n  adr: x\nlog:\n  level: loud\n")
	want := command{2, "", `zenconn: the configuration is wrong:
  missing.toml: there is no such file
  a.yaml:2: client.adr: unknown key, did you mean client.addr?
  ZENCONN_CLIENT__FLUSHERS: want a whole number, not "x"
  --client.max_connections: want a whole number, not "many"
`}
	environ := []string{"ZENCONN_CLIENT__FLUSHERS=x"}
	for name, args := range map[string][]string{
		"server": {"--config", "a.yaml", "--config", "missing.toml", "--client.max_connections=many"},
		"print":  {"config", "print", "--config", "a.yaml", "--config", "missing.toml", "--client.max_connections=many"},
		"check":  {"config", "check", "a.yaml", "missing.toml", "--client.max_connections=many"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := typed(t, environ, args...); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if entries, err := os.ReadDir("."); err != nil || len(entries) != 1 {
				t.Errorf("something was started: %v, %v", entries, err)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	inFolder(t, "a.yaml", "auth: {type: jwt}\n", "b.toml", "[auth.jwt]\npublic_key = 'key.pem'\n")
	if got := typed(t, nil, "config", "check", "a.yaml", "b.toml"); got != (command{0, "ok\n", ""}) {
		t.Errorf("files that complete each other: %+v", got)
	}
	got := typed(t, nil, "config", "check", "a.yaml")
	want := "zenconn: the configuration is wrong:\n  a.yaml:1: auth.type: jwt needs a key: set auth.jwt.hmac_secret or auth.jwt.public_key\n"
	if got != (command{2, "", want}) {
		t.Errorf("got %+v", got)
	}
}

func TestConfigPrint(t *testing.T) {
	inFolder(t, "a.yaml", "client:\n  addr: :1\nnamespaces:\n  chat:\n    presence: true\n")
	environ := []string{"ZENCONN_AUTH__JWT__HMAC_SECRET=0123456789abcdef0123456789abcdef", "ZENCONN_CLIENT__ADDR=:2",
		"ZENCONN_AUDIT__CLICKHOUSE__DSN=clickhouse://zen:geheim@db:9000/audit"}
	args := []string{"config", "print", "--config", "a.yaml", "--client.addr=:3"}

	table := typed(t, environ, args...)
	if table.code != 0 || table.stderr != "" || strings.Contains(table.stdout, "geheim") || strings.Contains(table.stdout, "abcdef") {
		t.Fatalf("%+v", table)
	}
	for _, row := range []string{
		`KEY +VALUE +FROM`,
		`client\.addr +:3 +flag --client\.addr`,
		`auth\.type +hook +default`,
		`auth\.jwt\.hmac_secret +\*\*\* +environment ZENCONN_AUTH__JWT__HMAC_SECRET`,
		`audit\.clickhouse\.dsn +clickhouse://zen:\*\*\*@db:9000/audit +environment ZENCONN_AUDIT__CLICKHOUSE__DSN`,
		`namespaces\.chat\.presence +true +file a\.yaml:5`,
		`namespaces\.chat\.publish +granted +default`,
	} {
		if !regexp.MustCompile(`(?m)^` + row + `$`).MatchString(table.stdout) {
			t.Errorf("no row %s in\n%s", row, table.stdout)
		}
	}

	type value struct {
		Value         any
		Layer, Source string
		Line          int
	}
	var values map[string]value
	asJSON := typed(t, environ, append(args, "--json")...)
	if err := json.Unmarshal([]byte(asJSON.stdout), &values); err != nil || asJSON.code != 0 {
		t.Fatalf("%v in %+v", err, asJSON)
	}
	for key, want := range map[string]value{
		"client.addr":              {":3", "flag", "--client.addr", 0},
		"client.ping.interval":     {"25s", "default", "", 0},
		"namespaces.chat.presence": {true, "file", "a.yaml", 5},
		"auth.jwt.hmac_secret":     {"***", "environment", "ZENCONN_AUTH__JWT__HMAC_SECRET", 0},
	} {
		if values[key] != want {
			t.Errorf("%s is %+v, want %+v", key, values[key], want)
		}
	}

	// What it prints as YAML is what it would print for that file.
	asYAML := typed(t, environ, append(args, "--yaml", "--show-secrets")...)
	if err := os.WriteFile("b.yaml", []byte(asYAML.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	again := typed(t, nil, "config", "print", "--config", "b.yaml", "--yaml", "--show-secrets")
	if again != asYAML || !strings.Contains(again.stdout, "clickhouse://zen:geheim@db:9000/audit") {
		t.Errorf("got %+v\nwant %+v", again, asYAML)
	}
}

// The help is read by people: it names the commands and not the hundred flags.
func TestHelp(t *testing.T) {
	got := typed(t, nil, "--help")
	if got.code != 0 || got.stderr != "" || strings.Count(got.stdout, "\n") > 45 {
		t.Errorf("%+v", got)
	}
	for _, word := range []string{"--config FILE", "zenconn config print", "ZENCONN_CLIENT__ADDR", "version"} {
		if !strings.Contains(got.stdout, word) {
			t.Errorf("the help does not say %s:\n%s", word, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "queue_size") {
		t.Errorf("the help lists the keys of the configuration:\n%s", got.stdout)
	}
}

func TestVersion(t *testing.T) {
	got := typed(t, nil, "version")
	want := regexp.MustCompile(`^zenconn \S+ ` + regexp.QuoteMeta(runtime.Version()) + ` ` + runtime.GOOS + `/` + runtime.GOARCH + `\n$`)
	if got.code != 0 || got.stderr != "" || !want.MatchString(got.stdout) {
		t.Errorf("%+v", got)
	}
}
