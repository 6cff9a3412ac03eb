package registry

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/hub"
)

// Who listens to $system:sessions on one node is told of by that node, so that the others publish there only when it is of use.
const (
	listeningCheck = 200 * time.Millisecond // Until the others hear of the first listener.
	listeningEvery = time.Second
	listeningFor   = 3 * time.Second // After the last word of it.
)

// notices publishes in $system:sessions.
type notices struct {
	hub *hub.Hub
	uid string
	ns  *channel.Namespace

	elsewhere atomic.Int64 // Unix nanoseconds until when somebody listens on another node.
	told      atomic.Uint64
	said      time.Time // When this node last said that somebody listens here; owned by the Sender's Run.
}

func newNotices(h *hub.Hub, uid string) *notices {
	return &notices{hub: h, uid: uid, ns: channel.System()}
}

// notice is the data of a publication. Its fields are documented in docs/protocol.md.
type notice struct {
	Event      string `json:"event"` // opened or closed.
	Session    string `json:"session"`
	User       string `json:"user"`
	Node       string `json:"node"`
	Worker     uint16 `json:"worker"`
	Transport  string `json:"transport"`
	RemoteAddr string `json:"remote_addr,omitempty"`
	Time       int64  `json:"time"` // Unix milliseconds.
	Code       uint32 `json:"code,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// listen hears where else somebody listens.
func (n *notices) listen(bus Bus) (stop func(), err error) {
	return bus.Listen(listeningSubject, func(_ string, body []byte) {
		if string(body) != n.uid {
			n.elsewhere.Store(time.Now().Add(listeningFor).UnixNano())
		}
	})
}

// tellListening tells the others that somebody listens here.
func (s *Sender) tellListening(now time.Time) {
	n := s.notices
	switch {
	case s.options.Bus == nil:
	case !n.hub.Listening(channel.SystemSessions):
		n.said = time.Time{}
	case now.Sub(n.said) >= listeningEvery:
		if err := s.options.Bus.Publish(listeningSubject, []byte(n.uid)); err == nil { // Else it is tried again.
			n.said = now
		}
	}
}

// wanted says whether anybody would get a notice, as far as this node knows.
func (n *notices) wanted() bool {
	return n.hub.Listening(channel.SystemSessions) || time.Now().UnixNano() < n.elsewhere.Load()
}

// tell publishes changes of the sessions of a node. The hub bounds what waits for each listener and counts what it drops.
func (n *notices) tell(from origin, changes []change) {
	if len(changes) == 0 || !n.wanted() {
		return
	}
	for i := range changes {
		c := &changes[i]
		data := &notice{
			Event: "opened", Session: c.ID.String(), User: c.User, Node: from.name, Worker: from.worker, Transport: c.Transport,
			Time: c.ConnectedAt.UnixMilli(), Code: c.reason.Code, Reason: c.reason.Reason,
		}
		if c.closed {
			data.Event, data.Time = "closed", c.at.UnixMilli()
		}
		if c.RemoteAddr.IsValid() {
			data.RemoteAddr = c.RemoteAddr.String()
		}
		encoded, err := json.Marshal(data)
		if err != nil {
			continue // Not with these types.
		}
		pub := &core.Publication{ID: core.NewID(), Channel: channel.SystemSessions, Data: encoded, Time: time.Now().UnixMilli()}
		if _, err := n.hub.Publish(context.Background(), n.ns, pub, core.ID{}); err == nil {
			n.told.Add(1)
		}
	}
}
