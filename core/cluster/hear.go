package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

var errTooMany = errors.New("there are too many members")

// hear takes what somebody said. The bus calls it, one message after the other.
func (m *Members) hear(_ string, body []byte) {
	h, err := parse(body)
	if err != nil {
		m.unreadable(err)
		return
	}
	if h.UID == m.uid {
		m.mu.Lock()
		m.echo = time.Now()
		m.mu.Unlock()
		return
	}
	misfit := h.compatible()
	switch {
	case misfit == "" && h.Bye != "":
		m.remove(h.UID, nil, "goodbye", h.Bye)
	case misfit == "" && h.Gone == m.uid:
		m.options.Log.Warn("another process says that this one has ended; it goes on", "said_by", h.Name, "reason", h.Why)
	case misfit == "" && h.Gone != "":
		m.remove(h.Gone, nil, "supervisor", h.Why)
	default:
		m.heard(h, misfit)
		if h.Ask {
			m.Hello()
		}
	}
}

// newsLevel is that of who comes and goes: agents tell; when all of twenty workers do so too nobody reads it.
func (m *Members) newsLevel() slog.Level {
	if m.options.Self().Kind == Worker {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// unreadable tells of what is no hello, but not each time.
func (m *Members) unreadable(err error) {
	m.options.Metrics.ClusterGarbage.Inc()
	m.mu.Lock()
	now := time.Now()
	tell := now.Sub(m.garbage) >= garbagePause
	if tell {
		m.garbage = now
	}
	m.mu.Unlock()
	if tell {
		m.options.Log.Warn("something on the bus says hello that is no process of this program: do two installations share bus.prefix?", "error", err)
	}
}

// heard brings a member up to date, or takes in a new one.
func (m *Members) heard(h *hello, misfit string) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	if _, ended := m.ended[h.UID]; ended {
		m.mu.Unlock()
		return // It was still under way.
	}
	p := m.peers[h.UID]
	fresh := p == nil
	if fresh {
		if len(m.peers) >= maxMembers {
			m.mu.Unlock()
			m.unreadable(errTooMany)
			return
		}
		p = &peer{uid: h.UID}
		p.here, p.left = context.WithCancel(context.Background())
		m.peers[h.UID] = p
	}
	before := p.Member
	p.Member = h.Member
	p.misfit, p.Incompatible = misfit, misfit != ""
	p.nobody, p.pingAt = 0, silentAfter
	p.measure(time.Until(time.UnixMilli(h.Now)))
	p.Problem = p.problem()
	after := p.Member
	m.mu.Unlock()

	switch {
	case fresh:
		m.options.Log.Log(context.Background(), m.newsLevel(), "a process joined", "name", after.Name, "kind", after.Kind, "version", after.Version, "uid", after.UID)
		m.tellLocked(Event{Kind: Joined, Member: after})
	case before.State != after.State || before.Problem != after.Problem || before.Agent != after.Agent || before.Outdated != after.Outdated:
		m.tellLocked(Event{Kind: Changed, Member: after})
	}
	if after.Problem != "" && after.Problem != before.Problem {
		m.options.Log.Warn("there is a problem with a process", "name", after.Name, "uid", after.UID, "problem", after.Problem)
	}
}

// problem says in a sentence what is wrong with a member.
func (p *peer) problem() string {
	switch {
	case p.misfit != "":
		return p.misfit
	case p.duplicate:
		return "another process has the same name: give each its own (agent.name, or --name of a worker)"
	case p.skewed:
		return "its clock differs from this machine's by more than " + skewWorth.String() + ": set both by NTP"
	}
	return ""
}

// The measuring of clocks. What is under way for long looks like a clock that is behind, so the largest of some measurements is
// nearest to the truth.
const (
	skewSamples = 8
	skewEnough  = 4 // Measurements before something is said.
	skewWorth   = 2 * time.Second
)

// measure takes how far the member's clock was ahead of ours when its hello arrived.
func (p *peer) measure(ahead time.Duration) {
	p.skews[p.measured%skewSamples] = ahead
	p.measured++
	p.Skew = slices.Max(p.skews[:min(p.measured, skewSamples)])
	p.skewed = p.measured >= skewEnough && p.Skew.Abs() > skewWorth
}

// remove ends the membership of a process. lost is nil when it is known to have ended: nothing that is heard of it afterwards counts.
// Else it is the peer that does not answer, which may come back, or have done so meanwhile.
func (m *Members) remove(uid string, lost *peer, cause, reason string) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	p := m.peers[uid]
	if lost == nil && len(m.ended) < maxMembers {
		m.ended[uid] = time.Now().Add(endedTime)
	}
	if lost != nil && (p != lost || p.Silence < silentAfter) {
		p = nil
	}
	if p == nil {
		m.mu.Unlock()
		return
	}
	delete(m.peers, uid)
	gone := p.Member
	m.mu.Unlock()
	p.left()
	m.options.Metrics.ClusterGone.WithLabelValues(cause).Inc()
	m.options.Log.Log(context.Background(), m.newsLevel(), "a process has gone", "name", gone.Name, "kind", gone.Kind, "uid", uid, "reason", reason)
	m.tellLocked(Event{Kind: Gone, Member: gone, Reason: reason})
}

// tellLocked tells the watchers. turn is held and mu is not.
func (m *Members) tellLocked(e Event) {
	for _, f := range m.watchers {
		f(e)
	}
}

// namesakesLocked finds members that have had the same name for a while: the successor of a process that was killed, or is on its way out,
// has its name too.
func (m *Members) namesakesLocked() {
	count := map[string]int{m.name: 1}
	lasting := func(p *peer) bool { return p.since >= namesakeAfter && p.Silence < silentAfter && p.State != Draining }
	for _, p := range m.peers {
		if lasting(p) {
			count[p.Name]++
		}
	}
	for _, p := range m.peers {
		p.duplicate = lasting(p) && count[p.Name] > 1
	}
}
