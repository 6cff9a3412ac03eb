package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zenconn/server/core/session"
)

// The pace of reading lists.
const (
	readersMost  = 4 // Members whose lists are read at a time.
	pageTimeout  = 5 * time.Second
	retryFirst   = 20 * time.Millisecond
	retryMost    = 5 * time.Second
	closedMost   = 1 << 20 // Sessions that may close while a list is read; beyond it the reading begins again.
	backAgain    = "the node was cut off and is there again"
	retryWarning = retryMost // From this pause on the log hears of it.
)

// resyncLocked has a member's list read again, because changes were lost.
func (r *Registry) resyncLocked(m *member) {
	r.resyncs.Add(1)
	m.list.begin()
	r.readLocked(m)
}

// readLocked starts the reading, unless it is under way: then it notices by the round that it has to begin again.
func (r *Registry) readLocked(m *member) {
	if m.reads {
		return
	}
	m.reads = true
	r.startLocked(func() { r.read(m) })
}

// read reads a member's list until that has succeeded, or the member is gone.
func (r *Registry) read(m *member) {
	pause, warned := retryFirst, false
	for {
		select {
		case r.readers <- struct{}{}:
		case <-m.ctx.Done():
			return
		}
		err := r.readOnce(m)
		<-r.readers
		if err == nil || m.ctx.Err() != nil {
			return
		}
		if pause >= retryWarning && !warned {
			warned = true
			r.options.Log.Warn("the sessions of a node cannot be read; those shown may be out of date", "uid", m.uid, "error", err)
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // Spreads load; nothing to guess.
		case <-m.ctx.Done():
			return
		}
		pause = min(2*pause, retryMost)
	}
}

var (
	errOvertaken = errors.New("changes were lost meanwhile")
	errForeign   = errors.New("another process has answered")
)

// readOnce reads all pages. Without an error the list is the truth.
func (r *Registry) readOnce(m *member) error {
	r.mu.Lock()
	m.list.begin()
	round := m.list.round
	r.mu.Unlock()
	q := question{}
	if m.back != nil {
		q.Lost = &m.back.incarnation
	}
	for {
		page, err := r.ask(m, q)
		if err != nil {
			return err
		}
		done, err := r.take(m, round, page)
		if done || err != nil {
			return err
		}
		q.After = page.changes[len(page.changes)-1].ID.String()
	}
}

func (r *Registry) ask(m *member, q question) (*message, error) {
	ctx, cancel := context.WithTimeout(m.ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer, err := r.options.Bus.Request(ctx, fmt.Sprintf(pageSubject, m.uid), body)
	if err != nil {
		return nil, err
	}
	page, err := parseMessage(answer)
	switch {
	case err != nil:
		return nil, err
	case page.uid != m.uid:
		return nil, errForeign
	case page.more && len(page.changes) == 0:
		return nil, errWire
	}
	return page, nil
}

// take puts a page into the list. It reports true after the last.
func (r *Registry) take(m *member, round uint32, page *message) (done bool, err error) {
	r.mu.Lock()
	if m.list.round != round || r.members[m.uid] != m || len(m.list.closed) > closedMost {
		r.mu.Unlock()
		return false, errOvertaken
	}
	if !m.turn(page, r.users) {
		r.mu.Unlock()
		return false, errOvertaken
	}
	var again []change
	if done = !page.more; done {
		m.reads = false
		again = m.takenBackLocked()
	}
	from := m.list.origin
	r.mu.Unlock()
	r.options.Sender.notices.tell(from, again)
	return done, nil
}

// takenBackLocked returns the sessions that this agent has told to be closed and that are not, once.
func (m *member) takenBackLocked() (again []change) {
	if m.back == nil || !m.back.mine || m.back.told {
		return nil
	}
	m.back.told = true
	for _, o := range m.back.sessions {
		if m.list.sessions[o.ID] != nil {
			again = append(again, reopened(o))
		}
	}
	return again
}

func reopened(o session.Opening) change {
	c := change{Opening: o}
	c.reason.Reason = backAgain
	return c
}
