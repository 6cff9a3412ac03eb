//go:build !linux

package outbound

import (
	"net"
	"syscall"
)

// rawConn returns nil: on this system every write goes through a goroutine that may block.
func rawConn(net.Conn) syscall.RawConn { return nil }

func writeRaw(syscall.RawConn, []item) (frames, bytes int, err error) { return 0, 0, nil }
