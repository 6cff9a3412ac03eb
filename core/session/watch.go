package session

import (
	"math/rand/v2"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// pings is the watch over a connected session; owned by the Wheel.
type pings struct {
	next  time.Time // When the next ping is due; zero before the first turn after connect.
	sent  time.Time // The last ping.
	until time.Time // When a sign of life after it is due; zero when none is awaited.
}

// refreshGrace is how long a session or a subscription lives on after its expiry, so that a client that refreshes in time is not
// cut off by a slow network or its clock.
const refreshGrace = 25 * time.Second

// due does what is due at now and returns when to be called again; the zero time: never.
func (s *Session) due(now time.Time) time.Time {
	if _, ended := s.queue.Ended(); ended {
		return time.Time{}
	}
	if s.connectedAt.Load() == 0 {
		had := s.node.Client.ConnectTimeout
		if deadline := s.node.Wheel.allow(s.openedAt.Add(had), had); now.Before(deadline) {
			return deadline
		}
		s.Disconnect(core.DisconnectStale)
		return time.Time{}
	}
	next := s.watchPings(now)
	if next.IsZero() {
		return next
	}
	if expiry := s.watchExpiry(now); !expiry.IsZero() && expiry.Before(next) {
		next = expiry
	}
	return next
}

// watchPings sends the ping that is due and looks for the sign of life after the last. It returns the zero time when it ended the
// session.
func (s *Session) watchPings(now time.Time) time.Time {
	interval := s.node.Client.Ping.Interval
	p := &s.pings
	if p.next.IsZero() {
		// The first ping comes at a random time, so that sessions that connected together are not pinged together.
		p.next = now.Add(rand.N(interval)) //nolint:gosec // Spreads load; nothing to guess.
	}
	if !p.until.IsZero() {
		p.until = s.node.Wheel.allow(p.until, s.node.Client.Ping.Timeout)
		if s.lastSeen.Load() >= p.sent.UnixNano() {
			p.until = time.Time{}
		} else if !now.Before(p.until) && s.handling.Load() {
			p.until = now.Add(s.node.Client.Ping.Timeout) // The answer may lie behind a command that waits for us, as for a bus that is down.
		} else if !now.Before(p.until) {
			s.Disconnect(core.DisconnectNoPong)
			return time.Time{}
		}
	}
	if !now.Before(p.next) {
		p.sent, p.until, p.next = now, now.Add(s.node.Client.Ping.Timeout), now.Add(interval)
		if s.queue.Enqueue(pingFrames[s.queue.Encoding()], nil) != outbound.Waiting {
			s.queue.Flush()
		}
	}
	if !p.until.IsZero() && p.until.Before(p.next) {
		return p.until
	}
	return p.next
}

// watchExpiry ends the session and subscriptions whose time is up and returns when the next one will be; the zero time: none.
func (s *Session) watchExpiry(now time.Time) time.Time {
	s.mu.Lock()
	earliest := s.expireAt
	var expired []string
	for _, sub := range s.subs {
		expireAt := sub.expireAt()
		if expireAt == 0 {
			continue
		}
		if !now.Before(expiryDeadline(expireAt)) {
			expired = append(expired, sub.member.Channel())
		} else if earliest == 0 || expireAt < earliest {
			earliest = expireAt
		}
	}
	sessionExpired := s.expireAt != 0 && !now.Before(expiryDeadline(s.expireAt))
	s.mu.Unlock()

	if sessionExpired {
		s.Dismiss(core.DisconnectExpired)
		return time.Time{}
	}
	for _, name := range expired {
		s.Unsubscribe(name, core.UnsubscribeExpired)
	}
	if earliest == 0 {
		return time.Time{}
	}
	return expiryDeadline(earliest)
}

func expiryDeadline(expireAt int64) time.Time { return time.Unix(expireAt, 0).Add(refreshGrace) }

// Unsubscribe ends one subscription and tells the client why. It does nothing when there is none. It may be called from anywhere;
// the session's own commands have sent their replies before.
func (s *Session) Unsubscribe(name string, why core.Unsubscribe) {
	if !s.drop(name) {
		return
	}
	s.node.Notices.unsubscribed(s, name, why.Code, why.Reason)
	s.push(&protocol.Push{Channel: name, Unsubscribe: &protocol.Unsubscribe{Code: why.Code, Reason: why.Reason}})
	s.queue.Flush()
}
