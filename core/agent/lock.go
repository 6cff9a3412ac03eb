package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// lockFile is in the data directory while an instance uses it, and stays there afterwards: removing it would let two instances
// lock two files of the same name.
const lockFile = "zenconn.lock"

// errLocked is what lock returns when somebody else has the lock.
var errLocked = errors.New("locked by somebody else")

// lockData makes this instance the only one that uses a data directory until unlock. The lock ends with the process, however that
// ends.
func lockData(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := lock(f); errors.Is(err, errLocked) {
		defer f.Close()
		who := "another instance"
		if pid, err := io.ReadAll(io.LimitReader(f, 20)); err == nil && len(pid) > 0 {
			who += " (pid " + strings.TrimSpace(string(pid)) + ")"
		}
		return nil, fmt.Errorf("data directory %s is used by %s: stop that one, or give this one a directory of its own with --data", absolute(dir), who)
	} else if err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory: cannot lock %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return f.Close, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
