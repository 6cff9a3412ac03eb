package bus

// Terms are what all processes on a bus must hold to alike, because any of them may be the one that sets up what is kept there.
type Terms struct {
	Replicas int   // Copies of a stream.
	Disk     int64 // Bytes that all streams together should take at most; 0: the owner of the external server decides.
}

// Terms returns what this process holds to.
func (b *Bus) Terms() Terms {
	if t := b.terms.Load(); t != nil {
		return *t
	}
	if b.embedded == nil {
		return Terms{Replicas: b.options.Config.Replicas}
	}
	t := Terms{Replicas: 1, Disk: b.embedded.budget}
	if b.embedded.clustered() {
		t.Replicas = b.options.Config.Replicas
	}
	return t
}

// Agree makes this process hold to the terms of another one, which owns the bus or is configured for it. Call it before anything is
// kept.
func (b *Bus) Agree(t Terms) { b.terms.Store(&t) }

// Replicas returns how many copies a stream has.
func (b *Bus) Replicas() int { return b.Terms().Replicas }

// Disk returns how many bytes all streams together should take at most; 0: the external server's owner decides.
func (b *Bus) Disk() int64 { return b.Terms().Disk }
