package session

import (
	"iter"
	"sync"

	"github.com/zenconn/server/core"
)

// Registry is the list of the sessions of one worker.
type Registry struct {
	perUser int // Sessions a user may have; 0: no limit.

	mu       sync.Mutex
	sessions map[core.ID]*Session
	users    map[string]int // Sessions by user; anonymous ones are not counted.
}

// NewRegistry makes an empty registry that allows perUser sessions of one user; 0: no limit.
func NewRegistry(perUser int) *Registry {
	return &Registry{perUser: perUser, sessions: make(map[core.ID]*Session), users: make(map[string]int)}
}

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s.id] = s
}

// claim counts a session for its user, once it is known. It reports false when the user has too many.
func (r *Registry) claim(user string) bool {
	if user == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perUser > 0 && r.users[user] >= r.perUser {
		return false
	}
	r.users[user]++
	return true
}

// release undoes a claim.
func (r *Registry) release(user string) {
	if user == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users[user]--; r.users[user] <= 0 {
		delete(r.users, user)
	}
}

func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	delete(r.sessions, s.id)
	r.mu.Unlock()
	if s.connectedAt.Load() != 0 {
		r.release(s.client.User)
	}
}

// Counts returns how many sessions and how many users there are. Sessions that have not connected yet count.
func (r *Registry) Counts() (sessions, users int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions), len(r.users)
}

// All goes over the sessions there are at the time of the call.
func (r *Registry) All() iter.Seq[*Session] {
	r.mu.Lock()
	all := make([]*Session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	r.mu.Unlock()
	return func(yield func(*Session) bool) {
		for _, s := range all {
			if !yield(s) {
				return
			}
		}
	}
}
