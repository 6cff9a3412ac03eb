package keyfile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/zenconn/server/core/keyfile"
)

func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first, err := keyfile.Secret(path)
	if err != nil || len(first) < 16 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := keyfile.Secret(path); err != nil || again != first {
		t.Errorf("it was %q and is %q, %v", first, again, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if secret, err := keyfile.Secret(path); err == nil {
		t.Errorf("%q is no secret", secret)
	}
	if secret, err := keyfile.Secret(filepath.Join(path, "below a file")); err == nil {
		t.Errorf("%q comes from nowhere", secret)
	}
}
