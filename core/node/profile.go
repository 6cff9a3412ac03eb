package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrNoNode is the error of a node that is not there.
var ErrNoNode = errors.New("there is no node of that name")

// profileSubject is where a node answers with a profile of its process.
func profileSubject(uid string) string { return "node." + uid + ".profile" }

// profileQuestion is what is asked there.
type profileQuestion struct {
	Kind   string        `json:"kind"`
	Length time.Duration `json:"length_ns"`
}

// tellProfile answers who asks for a profile of this process.
func (n *Node) tellProfile(ctx context.Context, body []byte) ([]byte, error) {
	var q profileQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	return n.profiles.Take(ctx, q.Kind, q.Length)
}

// Profile takes a profile of the process of a node; see profile.Taker. An empty name means this one. ctx needs a deadline, which is when
// another node is given up.
func (n *Node) Profile(ctx context.Context, name, kind string, length time.Duration) ([]byte, error) {
	if name == "" || name == n.options.Name {
		return n.profiles.Take(ctx, kind, length)
	}
	for _, m := range n.members.List() {
		if m.Name != name || m.Self {
			continue
		}
		if m.Incompatible {
			return nil, fmt.Errorf("its version %s speaks another language", m.Version)
		}
		body, err := json.Marshal(profileQuestion{kind, length})
		if err != nil {
			return nil, err
		}
		return n.options.Bus.Request(ctx, profileSubject(m.UID), body)
	}
	return nil, fmt.Errorf("%w: %.100q", ErrNoNode, name)
}
