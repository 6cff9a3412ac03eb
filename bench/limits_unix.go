//go:build unix

package bench

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reserveFiles makes sure that the process may open n files beside its connections.
func reserveFiles(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("how many files may be open: %w", err)
	}
	need := uint64(n)
	if uint64(limit.Cur) >= need {
		return nil
	}
	hard := uint64(limit.Max)
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || hard < need {
		return fmt.Errorf("this run needs %d open files, and the system allows this process %d: allow more (ulimit -Hn %d, as root, "+
			"or LimitNOFILE= of its service), or ask for fewer connections", need, hard, need)
	}
	return nil
}
