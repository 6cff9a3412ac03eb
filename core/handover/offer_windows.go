package handover

import (
	"context"
	"errors"
	"net"
)

// Offer is a listener that others can take, which this system does not have.
type Offer struct{}

// New fails: this system cannot hand a listener over.
func New(string, *net.TCPListener, Process) (*Offer, error) { return nil, errors.ErrUnsupported }

// Run does nothing.
func (*Offer) Run(context.Context) {}

// Take fails: nobody can have offered anything.
func Take(string) (net.Listener, Process, error) { return nil, Process{}, errors.ErrUnsupported }
