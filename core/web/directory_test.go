package web_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/web"
)

func TestDirectoryChanges(t *testing.T) {
	dir := t.TempDir()
	site := open(t, dir)
	path := filepath.Join(dir, "page.css")
	now := time.Now()
	write := func(text string, at time.Time) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("a{}", 1000)
	write(long, now)
	before, body := get(t, site, http.MethodGet, "/page.css", "Accept-Encoding", "gzip")
	if unzip(t, body) != long {
		t.Fatal("wrong content")
	}
	changed := strings.Repeat("b{}", 1000)
	write(changed, now.Add(time.Second))
	after, body := get(t, site, http.MethodGet, "/page.css", "Accept-Encoding", "gzip", "If-None-Match", before.Header.Get("ETag"))
	if after.StatusCode != http.StatusOK || unzip(t, body) != changed {
		t.Errorf("after a change of the same length: %d", after.StatusCode)
	}

	// A compressed neighbour that was not made again would show the past.
	if err := os.WriteFile(path+".br", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path+".br", now, now); err != nil {
		t.Fatal(err)
	}
	res, _ := get(t, site, http.MethodGet, "/page.css", "Accept-Encoding", "br")
	wantHeader(t, res, "Content-Encoding", "")
}

func TestDirectoryKeepsInside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link.txt")); err != nil {
		t.Skipf("SKIPPED: no symbolic links here: %v", err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	site := open(t, dir)
	for _, target := range []string{"/link.txt", "/folder/secret.txt"} {
		if res, body := get(t, site, http.MethodGet, target); res.StatusCode != http.StatusNotFound || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q", target, res.StatusCode, body)
		}
	}
}

func TestOpen(t *testing.T) {
	if _, err := web.Open(config.Public{Dir: filepath.Join(t.TempDir(), "missing")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	res, body := get(t, open(t, ""), http.MethodGet, "/")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "<title>ZenConn chat</title>") {
		t.Errorf("without a directory: %d %.80q", res.StatusCode, body)
	}
	if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy of our own pages: %q", policy)
	}
	res, _ = get(t, open(t, "testdata"), http.MethodGet, "/")
	wantHeader(t, res, "Content-Security-Policy", "")
}
