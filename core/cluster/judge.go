package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/zenconn/server/core/bus"
)

// When a member that is not heard counts as gone.
const (
	silentAfter   = time.Second            // Then it is asked whether it is there.
	pingPause     = 250 * time.Millisecond // Between two questions.
	pingTimeout   = time.Second
	nobodyTwice   = 2                // So often nobody must have been there: once may be a connection that is being made again.
	silentMost    = 10 * time.Second // Who says nothing for so long, and does not answer, is gone.
	namesakeAfter = 3 * time.Second
)

// judge lets time pass for all members. Only time in which this process hears itself counts, and only as much as it was awake for:
// who is cut off, or was stopped, knows nothing about others.
func (m *Members) judge(ctx context.Context, elapsed time.Duration) {
	elapsed = min(elapsed, 2*tick)
	var ask, silent []*peer
	m.mu.Lock()
	now := time.Now()
	for uid, until := range m.ended {
		if now.After(until) {
			delete(m.ended, uid)
		}
	}
	if m.echo.IsZero() || now.Sub(m.echo) > silentAfter {
		m.echo = time.Time{} // The next hello asks the others.
		m.mu.Unlock()
		return
	}
	for _, p := range m.peers {
		p.Silence += elapsed
		p.since += elapsed
		switch {
		case p.Silence >= silentMost:
			silent = append(silent, p)
		case p.Silence >= p.pingAt && !p.pinging:
			p.pinging = true
			ask = append(ask, p)
		}
	}
	m.namesakesLocked()
	m.mu.Unlock()
	for _, p := range silent {
		m.remove(p.uid, p, "silent", "it did not answer for "+silentMost.String())
	}
	for _, p := range ask {
		m.pings.Go(func() { m.ping(ctx, p) })
	}
}

// ping asks a silent member whether it is there. When its process has ended the bus knows at once that nobody can answer.
func (m *Members) ping(ctx context.Context, p *peer) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := m.options.Bus.Request(ctx, "node."+p.uid+".ping", nil)
	_, answered := errors.AsType[bus.RemoteError](err)

	m.mu.Lock()
	p.pinging = false
	p.pingAt = p.Silence + pingPause
	if p.Silence < silentAfter {
		p.pingAt = silentAfter // It was heard meanwhile.
	}
	switch {
	case err == nil || answered:
		p.Silence, p.nobody, p.pingAt = 0, 0, silentAfter
	case errors.Is(err, bus.ErrNobody):
		if p.Silence >= silentAfter {
			p.nobody++
		}
	default:
		p.nobody = 0 // No answer in time, or this process is cut off: nothing is known.
	}
	ended := p.nobody >= nobodyTwice
	m.mu.Unlock()
	if ended {
		m.remove(p.uid, p, "ended", "its process has ended, or lost its connection to the bus")
	}
}
