package jetstream

import "github.com/zenconn/server/core"

// For tests.
var (
	Sealed      = sealed
	Seal        = seal
	Stored      = stored
	ErrConflict = errConflict
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
