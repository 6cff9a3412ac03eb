package jetstream

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
)

// LiveSubjects is what stands between the bus's prefix and a channel's token where a stream repeats what it stores when several
// processes are on the bus: in the order of the offsets, and at most once.
const LiveSubjects = ".live."

// The headers that JetStream adds to what it repeats.
const (
	headerStream   = "Nats-Stream"
	headerSequence = "Nats-Sequence"
)

// Repeated says that a message on a live subject was repeated by a stream.
func Repeated(m *nats.Msg) bool { return m.Header.Get(headerStream) != "" }

// Live reads a message that a stream repeated. The next append to the channel in this process knows of it and need not ask. The
// publication is nil when the message is none.
func (s *Store) Live(m *nats.Msg) (pub *core.Publication, epoch string, err error) {
	r, err := numbered(m)
	if err != nil {
		return nil, "", err
	}
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	channel, err := bus.Name(token)
	if err != nil {
		return nil, "", err
	}
	sp := s.spaces[s.of(channel)]
	if sp == nil {
		return nil, "", errors.New("a stream repeats what belongs to no namespace with a history")
	}
	if h := sp.peek(token); h != nil {
		h.observe(&r)
	}
	if r.id == "" {
		return nil, "", nil
	}
	pub, err = r.publication(channel)
	return pub, r.at.Epoch, err
}
