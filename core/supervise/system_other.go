//go:build unix && !linux

package supervise

import "golang.org/x/sys/unix"

func replaceFD(with, fd int) error { return unix.Dup2(with, fd) }

// within calls f with the path, which must be short enough for a socket: about a hundred bytes.
func within(path string, f func(short string) error) error { return f(path) }
