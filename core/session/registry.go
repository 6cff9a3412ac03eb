package session

import (
	"iter"
	"slices"
	"sync"

	"github.com/zenconn/server/core"
)

// Registry is the list of the sessions of one worker.
type Registry struct {
	perUser int // Sessions a user may have; 0: no limit.

	mu       sync.Mutex
	sessions map[core.ID]*Session
	users    map[string][]*Session // Not of anonymous ones. Each session knows its place in the list.
}

// NewRegistry makes an empty registry that allows perUser sessions of one user; 0: no limit.
func NewRegistry(perUser int) *Registry {
	return &Registry{perUser: perUser, sessions: make(map[core.ID]*Session), users: make(map[string][]*Session)}
}

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s.id] = s
}

// claim lists a session for its user, once it is known. It reports false when the user has too many.
func (r *Registry) claim(s *Session, user string) bool {
	if user == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.users[user]
	if r.perUser > 0 && len(list) >= r.perUser {
		return false
	}
	s.place = len(list)
	r.users[user] = append(list, s)
	return true
}

// release undoes the claim of a session that is not let in.
func (r *Registry) release(s *Session, user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseLocked(s, user)
}

// releaseLocked undoes a claim.
func (r *Registry) releaseLocked(s *Session, user string) {
	list := r.users[user]
	last := list[len(list)-1]
	list[s.place], last.place = last, s.place
	list[len(list)-1] = nil
	if len(list) == 1 {
		delete(r.users, user)
	} else {
		r.users[user] = list[:len(list)-1]
	}
}

func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.id)
	if s.connectedAt.Load() != 0 && s.client.User != "" {
		r.releaseLocked(s, s.client.User)
	}
}

// find returns the session of an ID, or nil.
func (r *Registry) find(id core.ID) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// ofUser returns the sessions of a user, which is not the anonymous one. Some may be just connecting.
func (r *Registry) ofUser(user string) []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.users[user])
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
