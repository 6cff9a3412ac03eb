package relay

import "github.com/nats-io/nats.go"

// Conn returns the connection over which everything live comes.
func (r *Relay) Conn() *nats.Conn { return r.conn }

// Narrow makes room for only n messages in each lane. It is called before Open.
func (r *Relay) Narrow(n int) {
	for i := range r.lanes {
		r.lanes[i] = make(chan *nats.Msg, n)
	}
}

// Decode reads a message about a channel.
func Decode(channel string, data []byte) error {
	_, err := decode(channel, data)
	return err
}
