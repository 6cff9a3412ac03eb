package sqlite_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
)

func TestDeleteTakesTurnsWithWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	write(t, s, &audit.Batch{Messages: audittest.Messages(0, 6000)})
	done := make(chan error, 1)
	go func() { done <- s.Delete(t.Context(), "audit_messages", "channel = 'chat:room-1' OR user < 'user-5'") }()
	for n, deleted := 0, false; !deleted; n++ {
		write(t, s, &audit.Batch{Messages: audittest.Messages(100_000+1000*n, 1)})
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			deleted = true
		default:
		}
	}
	if got := audittest.Ask(t, s, "SELECT count(*) FROM audit_messages WHERE id < '0193a5b0-0000-7000-8000-0000000186a0' AND (channel = 'chat:room-1' OR user < 'user-5')"); got[0] != "[0]" {
		t.Errorf("%s rows are left", got[0])
	}
}

func TestDeletedRowsAreGoneFromTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, path)
	messages := audittest.Messages(0, 3000)
	for _, m := range messages {
		m.Payload = []byte("a secret that must not stay in the file")
	}
	write(t, s, &audit.Batch{Messages: messages})
	if !found(t, path, messages[0].Payload) {
		t.Fatal("the file does not hold what was written")
	}
	if err := s.Delete(t.Context(), "audit_messages", "user >= ''"); err != nil {
		t.Fatal(err)
	}
	if found(t, path, messages[0].Payload) {
		t.Error("the file still holds what was removed")
	}
	before := size(t, path)
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := size(t, path); after >= before {
		t.Errorf("the file had %d bytes and has %d", before, after)
	}
}

// found reports whether the file, or its log, holds some bytes.
func found(t *testing.T, path string, what []byte) bool {
	t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		all, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(all, what) {
			return true
		}
	}
	return false
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
