package presence

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/zenconn/server/core"
)

// Stats are the numbers of a channel's presence.
type Stats struct {
	Clients int
	Users   int // Distinct users; all anonymous clients together count as one, as in the public protocol.
}

// MaxCounted is the largest number of users for which a node tells who they are, so that those on several nodes are counted once: 8
// bytes for each, 800 KB in all. Beyond it a user counts once for each such node.
const MaxCounted = 100_000

// Count is what one node knows about a channel's numbers.
type Count struct {
	Clients int
	Users   int      // Distinct ones on the node.
	Hashes  []uint64 // One for each user; nil when there are more than MaxCounted.
}

// count makes a Count. Users are told apart by 64 bits of SHA-256: that two of a million have the same is one chance in 37 million.
func count(members []core.ClientInfo) Count {
	users := make(map[string]struct{}, len(members))
	for _, m := range members {
		users[m.User] = struct{}{}
	}
	c := Count{Clients: len(members), Users: len(users)}
	if len(users) > MaxCounted {
		return c
	}
	c.Hashes = make([]uint64, 0, len(users))
	for user := range users {
		sum := sha256.Sum256([]byte(user))
		c.Hashes = append(c.Hashes, binary.BigEndian.Uint64(sum[:]))
	}
	return c
}

// sum adds up what all nodes know.
func sum(counts []Count) (s Stats) {
	users := make(map[uint64]struct{})
	for _, c := range counts {
		s.Clients += c.Clients
		if c.Hashes == nil {
			s.Users += c.Users
		}
		for _, h := range c.Hashes {
			users[h] = struct{}{}
		}
	}
	s.Users += len(users)
	return s
}
