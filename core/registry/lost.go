package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/session"
)

// LostCode is the close code of sessions whose process was lost: that of RFC 6455 §7.1.5 for a connection that ended without a close
// frame, which is what their clients saw.
const LostCode = 1006

const (
	lastChanges = 500 * time.Millisecond // Time for the last changes of a member that is gone: they come by another way than the news.
	lostChunk   = 2000                   // Sessions that are closed at a time,
	lostPause   = 2 * time.Millisecond   // and the pause then: the audit and the listeners shall keep up.
	lostKept    = 10 * time.Minute       // Time in which a member that was lost may come back and its sessions be told of again.
	lostMost    = 16                     // Lost members that are kept; beyond it the oldest are forgotten.
	lostCheck   = time.Minute
	reasonLost  = "the node is gone"
)

// lost is a member that is gone, with the sessions it had.
type lost struct {
	origin
	agent    string // UID of the agent that supervised it.
	reason   string
	at       time.Time
	sessions []session.Opening

	// Guarded by the Registry's mu.
	closer   string // UID of the agent that closes its sessions.
	mine     bool   // This agent has begun to.
	done     bool
	returned bool
	told     bool // Of its return.
}

// gone takes leave of a member.
func (r *Registry) gone(ctx context.Context, who cluster.Member, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if who.Kind == cluster.Agent {
		delete(r.agents, who.UID)
		r.inheritLocked(ctx, who.UID)
	}
	m := r.members[who.UID]
	if m == nil || m.leaving {
		return
	}
	m.agent, m.leaving, m.ended = who.Agent, true, time.Now()
	r.startLocked(func() {
		select {
		case <-time.After(lastChanges):
			r.left(ctx, m, reason)
		case <-ctx.Done():
		}
	})
}

// left removes a member from the list, and sees to it that its sessions are closed.
func (r *Registry) left(ctx context.Context, m *member, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !m.leaving || r.members[m.uid] != m {
		return // It has come back, or has left already.
	}
	m.cancel()
	delete(r.members, m.uid)
	l := &lost{origin: m.list.origin, agent: m.agent, reason: reason, at: m.ended}
	for id, e := range m.list.sessions {
		l.sessions = append(l.sessions, e.opening())
		m.close(id, r.users)
	}
	if len(l.sessions) == 0 {
		return
	}
	if reason == "" {
		l.reason = reasonLost
	}
	r.lost[m.uid] = l
	r.assignLocked(ctx, l)
	r.forgetLocked()
}

// assignLocked finds out who closes the sessions of a lost member: the agent that supervised it, or else the one with the smallest UID.
// All agents come to the same, unless they see different members; then a session is closed twice, which is as good as once.
func (r *Registry) assignLocked(ctx context.Context, l *lost) {
	l.closer = l.agent
	if _, there := r.agents[l.closer]; !there {
		l.closer = ""
		for uid := range r.agents {
			if l.closer == "" || uid < l.closer {
				l.closer = uid
			}
		}
	}
	if l.closer == r.options.Members.Self().UID {
		l.mine = true
		r.startLocked(func() { r.closeAll(ctx, l) })
	}
}

// inheritLocked hands on what an agent that is gone may have left undone.
func (r *Registry) inheritLocked(ctx context.Context, agent string) {
	for _, l := range r.lost {
		if l.closer == agent && !l.done {
			r.assignLocked(ctx, l)
		}
	}
}

// closeAll closes the sessions of a lost member, in the audit and for those who listen.
func (r *Registry) closeAll(ctx context.Context, l *lost) {
	r.options.Log.Warn("a node was lost; its sessions are recorded as closed", "node", l.name, "uid", l.uid, "sessions", len(l.sessions), "reason", l.reason)
	for rest := l.sessions; len(rest) > 0; {
		r.mu.RLock()
		returned := l.returned
		r.mu.RUnlock()
		if returned {
			return
		}
		chunk := rest[:min(len(rest), lostChunk)]
		rest = rest[len(chunk):]
		ended := make([]change, len(chunk))
		for i, o := range chunk {
			r.options.Recorder.Record(l.record(o))
			ended[i] = change{Opening: o, closed: true, at: l.at, reason: core.Disconnect{Code: LostCode, Reason: l.reason}}
		}
		r.options.Recorder.Hasten() // Should this agent be killed as well, nobody would know of them any more.
		r.options.Sender.notices.tell(l.origin, ended)
		select {
		case <-time.After(lostPause):
		case <-ctx.Done():
			return // The others notice that this agent is gone, and close what they were not told of.
		}
	}
	r.mu.Lock()
	l.done = true
	r.mu.Unlock()
	body, err := json.Marshal(closedAll{UID: l.uid, Incarnation: l.incarnation})
	if err == nil {
		err = r.options.Bus.Publish(lostSubject, body)
	}
	if err != nil {
		r.options.Log.Debug("the other agents could not be told that a lost node's sessions are closed", "error", err)
	}
}

// record is what the audit gets of a session. What went through it is known only to the process that is gone.
func (l *lost) record(o session.Opening) *audit.Session {
	return &audit.Session{
		ConnectedAt: o.ConnectedAt, DisconnectedAt: l.at, Session: o.ID, Node: l.name, NodeEpoch: l.epoch, Worker: l.worker, User: o.User,
		Transport: o.Transport, Protocol: o.Protocol, RemoteAddr: o.RemoteAddr, UserAgent: o.UserAgent,
		CloseCode: LostCode, CloseReason: l.reason, Version: audit.VersionLost(l.incarnation),
	}
}

// closedAll tells the other agents that the sessions of a lost member are closed. It is sent as JSON.
type closedAll struct {
	UID         string `json:"uid"`
	Incarnation uint8  `json:"incarnation"`
}

func (r *Registry) hearLost(_ string, body []byte) {
	var told closedAll
	if err := json.Unmarshal(body, &told); err != nil {
		r.options.Log.Debug("what an agent said about a lost node cannot be read", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lost[told.UID]; l != nil && l.incarnation == told.Incarnation {
		l.done = true
	}
}

func (r *Registry) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked()
}

// forgetLocked forgets lost members that were lost long ago, or are too many.
func (r *Registry) forgetLocked() {
	for uid, l := range r.lost {
		if time.Since(l.at) > lostKept {
			delete(r.lost, uid)
		}
	}
	for len(r.lost) > lostMost {
		oldest := ""
		for uid, l := range r.lost {
			if oldest == "" || l.at.Before(r.lost[oldest].at) {
				oldest = uid
			}
		}
		delete(r.lost, oldest)
	}
}
