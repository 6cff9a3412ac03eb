package server

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// processes returns the IDs of all processes of the server: those that run its program in its folder. Where the system has no /proc
// there are none.
func (s *Server) processes() (pids []int) {
	dir, err := filepath.EvalSymlinks(s.options.Dir)
	if err != nil {
		return nil
	}
	program, err := filepath.EvalSymlinks(Binary(s.t))
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*") //nolint:errcheck // The pattern is right.
	for _, link := range links {
		cwd, _ := os.Readlink(filepath.Join(link, "cwd")) //nolint:errcheck // It has ended, or is somebody else's.
		exe, _ := os.Readlink(filepath.Join(link, "exe")) //nolint:errcheck // The same.
		if pid, err := strconv.Atoi(filepath.Base(link)); err == nil && cwd == dir && exe == program {
			pids = append(pids, pid)
		}
	}
	return pids
}

// leaveNobody fails the test when processes of the server have outlived it, and ends them.
func (s *Server) leaveNobody() {
	s.t.Helper()
	deadline := time.Now().Add(stopTimeout)
	for len(s.processes()) > 0 {
		if time.Now().After(deadline) {
			s.t.Errorf("processes have outlived the server: %v", s.processes())
			s.Kill()
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}
