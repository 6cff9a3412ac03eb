package jetstream

import (
	"context"

	"github.com/zenconn/server/core"
)

// For tests.
var (
	Sealed        = sealed
	Seal          = seal
	Stored        = stored
	ErrConflict   = errConflict
	IsUnavailable = isUnavailable
)

// Unsealed reads what Sealed wrote.
func Unsealed(b []byte) (*core.Publication, string, error) {
	r, err := unseal(b)
	if err != nil {
		return nil, "", err
	}
	pub, err := r.publication("a")
	if err != nil {
		return nil, "", err
	}
	return pub, r.at.Epoch, nil
}

// AppendAgain is what Append does after an attempt of which it does not know whether the publication was stored.
func (s *Store) AppendAgain(ctx context.Context, channel string, pub *core.Publication) (core.Position, error) {
	sp, token, err := s.space(channel)
	if err != nil {
		return core.Position{}, err
	}
	h, err := sp.take(ctx, token)
	if err != nil {
		return core.Position{}, err
	}
	defer func() { <-h.turn }()
	return sp.keep(ctx, h, pub, true)
}
