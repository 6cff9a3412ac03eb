package audit

import (
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// tallyTime is how long deliveries and drops are added up before they are recorded.
const tallyTime = time.Second

// maxTallies bounds what is added up at a time, for deliveries and for drops; beyond it they are recorded at once.
const maxTallies = 10_000

// tallies add up what would be too many events: deliveries by message, drops by session and reason.
type tallies struct {
	mu         sync.Mutex // Guards all below.
	deliveries map[core.ID]*Delivery
	drops      map[dropped]*Drop
	recorded   time.Time // When all were recorded last.
}

type dropped struct {
	session core.ID
	reason  string
}

// Delivered counts deliveries of a message on this node that did not happen during the publisher's call. They are recorded within about
// a second, as one Delivery event per message.
func (r *Recorder) Delivered(message core.ID, namespace, channel string, deliveries, drops int) {
	if r.sink == nil || deliveries == 0 && drops == 0 {
		return
	}
	t := &r.tallies
	t.mu.Lock()
	d := t.deliveries[message]
	if d == nil {
		d = &Delivery{At: time.Now(), Message: message, Node: r.options.Node, Namespace: namespace, Channel: channel}
		if t.deliveries == nil {
			t.deliveries = map[core.ID]*Delivery{}
		}
		t.deliveries[message] = d
	}
	d.Deliveries += uint32(deliveries)
	d.Drops += uint32(drops)
	full := len(t.deliveries) >= maxTallies
	t.mu.Unlock()
	if full {
		r.recordTallies()
	}
}

// Dropped counts messages that a session did not get, for a reason. They are recorded within about a second, as one Drop event per session
// and reason.
func (r *Recorder) Dropped(session core.ID, user, reason string, messages int) {
	if r.sink == nil || messages == 0 {
		return
	}
	t := &r.tallies
	key := dropped{session, reason}
	t.mu.Lock()
	d := t.drops[key]
	if d == nil {
		d = &Drop{At: time.Now(), Node: r.options.Node, Session: session, User: user, Reason: reason}
		if t.drops == nil {
			t.drops = map[dropped]*Drop{}
		}
		t.drops[key] = d
	}
	d.Messages += uint32(messages)
	full := len(t.drops) >= maxTallies
	t.mu.Unlock()
	if full {
		r.recordTallies()
	}
}

// recordTalliesInTime records what was added up, unless that was done a moment ago.
func (r *Recorder) recordTalliesInTime() {
	r.tallies.mu.Lock()
	due := time.Since(r.tallies.recorded) >= tallyTime
	r.tallies.mu.Unlock()
	if due {
		r.recordTallies()
	}
}

func (r *Recorder) recordTallies() {
	t := &r.tallies
	t.mu.Lock()
	deliveries, drops := t.deliveries, t.drops
	t.deliveries, t.drops, t.recorded = nil, nil, time.Now()
	t.mu.Unlock()
	for _, d := range deliveries {
		r.queue.add(d)
	}
	for _, d := range drops {
		r.queue.add(d)
	}
}
