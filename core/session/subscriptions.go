package session

import (
	"slices"
	"strings"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/hub"
)

// subscription is one channel the session listens to.
type subscription struct {
	ns       *channel.Namespace
	member   *hub.Member
	terms    *terms          // nil: it has none. Guarded by the session's mu; what it points to is not changed.
	announce bool            // Others are told when it comes and goes.
	byServer bool            // The client did not ask for it.
	allow    core.Permission // What it gives in the channel, besides the session's grants.
}

// terms are what few subscriptions have.
type terms struct {
	expireAt int64  // Unix seconds; 0: never.
	info     []byte // What others see of the session in this channel.
}

func (s *subscription) expireAt() int64 {
	if s.terms == nil {
		return 0
	}
	return s.terms.expireAt
}

func (s *subscription) info() []byte {
	if s.terms == nil {
		return nil
	}
	return s.terms.info
}

// subscriptions are those of a session, sorted by their channels. Most sessions have a few, for which a map would be too large.
type subscriptions []*subscription

func (s subscriptions) find(channel string) (int, bool) {
	return slices.BinarySearchFunc(s, channel, func(sub *subscription, channel string) int {
		return strings.Compare(sub.member.Channel(), channel)
	})
}

// of returns the subscription to a channel, or nil.
func (s subscriptions) of(channel string) *subscription {
	if i, found := s.find(channel); found {
		return s[i]
	}
	return nil
}

// add adds one; there is none to its channel.
func (s *subscriptions) add(sub *subscription) {
	i, _ := s.find(sub.member.Channel())
	*s = slices.Insert(*s, i, sub)
}

// drop removes the subscription to a channel and returns it, or nil.
func (s *subscriptions) drop(channel string) *subscription {
	i, found := s.find(channel)
	if !found {
		return nil
	}
	sub := (*s)[i]
	*s = slices.Delete(*s, i, i+1)
	if len(*s) == 0 {
		*s = nil
	}
	return sub
}
