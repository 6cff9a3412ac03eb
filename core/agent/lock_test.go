package agent

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestOneInstancePerDirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is used by another instance (pid %d)", os.Getpid())) {
		t.Errorf("a second instance is told %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := lockData(dir)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}
