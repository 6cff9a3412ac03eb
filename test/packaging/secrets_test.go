package packaging_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// makeSecrets runs the script of docker-compose.yml's service secrets, for files that belong to whom the test runs as.
func makeSecrets(t *testing.T, clickhouse, zenconn string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Program(t, "bash"), filepath.Join(root, "configs/compose/secrets.sh"), clickhouse, zenconn)
	me := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	cmd.Env = append(os.Environ(), "CLICKHOUSE_OWNER="+me, "ZENCONN_OWNER="+me)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	return string(out)
}

func TestSecrets(t *testing.T) {
	clickhouse, zenconn := t.TempDir(), t.TempDir()
	usersFile, configFile := filepath.Join(clickhouse, "zenconn.xml"), filepath.Join(zenconn, "clickhouse.yaml")

	said := makeSecrets(t, clickhouse, zenconn)
	password := passwordOf(t, configFile)
	checkUsers(t, usersFile, password)
	if strings.Contains(said, password) {
		t.Error("the script prints the password")
	}
	for _, path := range []string{usersFile, configFile} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", path, info.Mode(), err)
		}
	}

	makeSecrets(t, clickhouse, zenconn)
	if again := passwordOf(t, configFile); again != password {
		t.Error("the second start made another password")
	}

	// Whichever half is lost, both are made anew and fit each other. A file that an interrupted start left is no hindrance.
	for _, lost := range []string{usersFile, configFile} {
		if err := os.Rename(lost, lost+".new"); err != nil {
			t.Fatal(err)
		}
		makeSecrets(t, clickhouse, zenconn)
		fresh := passwordOf(t, configFile)
		if fresh == password {
			t.Errorf("without %s the old password was kept", filepath.Base(lost))
		}
		checkUsers(t, usersFile, fresh)
		password = fresh
	}
}

// passwordOf reads the configuration as the server in docker-compose.yml does, and returns the password in its DSN.
func passwordOf(t *testing.T, secret string) string {
	t.Helper()
	loaded, err := config.Load(config.Sources{Files: []string{filepath.Join(root, "configs/compose.yaml"), secret}})
	if err != nil {
		t.Fatalf("the server would refuse the configuration: %v", err)
	}
	if loaded.Config.Demo || loaded.Config.Audit.Store == "sqlite" {
		t.Errorf("demo %v, audit store %q: want a configured server that writes to ClickHouse", loaded.Config.Demo, loaded.Config.Audit.Store)
	}
	dsn, err := url.Parse(loaded.Config.Audit.ClickHouse.DSN)
	if err != nil {
		t.Fatal("the DSN is not a URL")
	}
	password, _ := dsn.User.Password()
	if raw, err := hex.DecodeString(password); err != nil || len(raw) != 32 || dsn.Host != "clickhouse:9000" || dsn.User.Username() != "zenconn" {
		t.Fatalf("DSN for %s at %s with a password of %d characters; want zenconn at clickhouse:9000 with 64", dsn.User.Username(), dsn.Host, len(password))
	}
	return password
}

func checkUsers(t *testing.T, path, password string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var users struct {
		XMLName xml.Name `xml:"clickhouse"`
		Default struct {
			Remove string `xml:"remove,attr"`
		} `xml:"users>default"`
		Hash string `xml:"users>zenconn>password_sha256_hex"`
	}
	if err := xml.Unmarshal(text, &users); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(password))); users.Hash != want || users.Default.Remove == "" {
		t.Errorf("ClickHouse's user file does not fit the password, or keeps the user without one:\n%s", text)
	}
	if strings.Contains(string(text), password) {
		t.Error("ClickHouse's user file holds the password itself")
	}
}
