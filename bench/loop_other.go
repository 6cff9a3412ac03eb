//go:build !linux

package bench

import (
	"errors"
	"net"
)

const haveLoops = false

// loop is what Linux reads connections with; elsewhere each has a goroutine.
type loop struct{}

func newLoop(*network, *shard) (*loop, error) { return nil, errors.ErrUnsupported }

func (*loop) adopt(*client, *net.TCPConn) error { return errors.ErrUnsupported }
func (*loop) run()                              {}
func (*loop) stop()                             {}
