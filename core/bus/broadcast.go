package bus

import (
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// Broadcast sends a body to all who listen on a subject, which follows the prefix; this process hears it too, if it listens. It does
// not wait, and nobody answers. The body must say itself which version it is of.
func (b *Bus) Broadcast(subject string, body []byte) error {
	if err := b.main.Publish(b.subject(subject), body); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

// Listen calls hear for every body that is broadcast on a subject, which follows the prefix, one after the other, until stop is
// called. What comes while hear is behind by thousands is lost. stop may return while hear is still at the last one.
func (b *Bus) Listen(subject string, hear func(body []byte)) (stop func(), err error) {
	sub, err := b.main.Subscribe(b.subject(subject), func(m *nats.Msg) { hear(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	if b.main.IsConnected() {
		if err := b.main.FlushTimeout(connectTimeout); err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
	}
	return sync.OnceFunc(func() {
		_ = sub.Unsubscribe() // It fails when the connection has been closed, which also ends it.
	}), nil
}
