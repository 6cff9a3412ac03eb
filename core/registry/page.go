package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zenconn/server/core"
)

// question asks a process for a page of its list. It is sent as JSON.
type question struct {
	After string `json:"after,omitempty"` // The session it begins after; empty: from the beginning.
	Lost  *uint8 `json:"lost,omitempty"`  // The incarnation in which who asks took the process for lost.
}

// answerPages answers the registries' questions until unhandle is called.
func (s *Sender) answerPages(ctx context.Context) (unhandle func(), err error) {
	return s.options.Bus.Handle(fmt.Sprintf(pageSubject, s.options.UID), func(_ context.Context, body []byte) ([]byte, error) {
		var q question
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, fmt.Errorf("a question for sessions: %w", err)
		}
		var after core.ID
		if q.After != "" {
			id, err := core.ParseID(q.After)
			if err != nil {
				return nil, fmt.Errorf("a question for sessions: after: %w", err)
			}
			after = id
		}
		if q.Lost != nil && s.options.Node.Returned(*q.Lost) {
			s.options.Log.Warn("others had taken this node for lost and recorded its sessions as closed; they are recorded as open again")
			s.work.Go(func() { s.options.Node.RecordOpen(ctx) })
			s.wakeUp() // All agents shall know the new incarnation.
		}
		return s.page(after), nil
	})
}

// page encodes the sessions that follow after, as many as fit. The number of the next change is taken before the list is read: what
// happens meanwhile is in the changes, and perhaps in the page.
func (s *Sender) page(after core.ID) []byte {
	s.mu.Lock()
	m := &message{origin: s.origin(), first: s.next}
	s.mu.Unlock()
	open := s.options.Node.Registry.Connected(after, pageSessions)
	m.changes = make([]change, len(open))
	for i, o := range open {
		m.changes[i].Opening = o
	}
	m.more = len(open) == pageSessions
	body, n := appendMessage(make([]byte, 0, headRoom+changeRoom*len(open)), m)
	if n < len(open) {
		setMore(body)
	}
	return body
}
