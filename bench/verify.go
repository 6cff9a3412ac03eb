package bench

// Verifier checks what one subscriber receives: every number of every stream exactly once and in order. The zero value expects
// no stream. It is not safe for concurrent use.
type Verifier struct {
	streams []streamCheck
}

// streamCheck is the state of one stream at one subscriber.
type streamCheck struct {
	next      uint64 // One past the highest number seen.
	holes     []span // Numbers below next that have not been seen, in order.
	forgotten uint64 // Numbers below next that are missing and no longer in holes.
}

// span is the numbers from to but not including to.
type span struct{ from, to uint64 }

// maxHoles bounds the memory for a stream that loses a lot. What is forgotten counts as lost, and as a duplicate if it comes.
const maxHoles = 256

// Verdict is what the Verifier thinks of one message.
type Verdict int

// The verdicts.
const (
	InOrder   Verdict = iota
	Reordered         // It comes after one with a higher number.
	Duplicate         // It was there already.
	Stray             // It is of a stream that the subscriber does not belong to.
)

// NewVerifier returns a Verifier of a subscriber that belongs to streams streams.
func NewVerifier(streams int) Verifier { return Verifier{make([]streamCheck, streams)} }

// See takes note of number seq of a stream.
func (v *Verifier) See(stream int, seq uint64) Verdict {
	if stream < 0 || stream >= len(v.streams) {
		return Stray
	}
	s := &v.streams[stream]
	switch {
	case seq == s.next:
		s.next++
		return InOrder
	case seq > s.next:
		if len(s.holes) == maxHoles {
			oldest := s.holes[0]
			s.forgotten += oldest.to - oldest.from
			s.holes = append(s.holes[:0], s.holes[1:]...)
		}
		s.holes = append(s.holes, span{s.next, seq})
		s.next = seq + 1
		return InOrder
	default:
		return s.fill(seq)
	}
}

// fill takes a number below next.
func (s *streamCheck) fill(seq uint64) Verdict {
	for i, h := range s.holes {
		if seq < h.from || seq >= h.to {
			continue
		}
		left, right := span{h.from, seq}, span{seq + 1, h.to}
		switch {
		case left.from == left.to && right.from == right.to:
			s.holes = append(s.holes[:i], s.holes[i+1:]...)
		case left.from == left.to:
			s.holes[i] = right
		case right.from == right.to:
			s.holes[i] = left
		case len(s.holes) < maxHoles:
			s.holes = append(s.holes, span{})
			copy(s.holes[i+2:], s.holes[i+1:])
			s.holes[i], s.holes[i+1] = left, right
		default:
			s.holes[i] = right
			s.forgotten += left.to - left.from
		}
		return Reordered
	}
	return Duplicate
}

// Missing returns how many of the first sent numbers of a stream have not been seen.
func (v *Verifier) Missing(stream int, sent uint64) uint64 {
	s := &v.streams[stream]
	missing := s.forgotten
	for _, h := range s.holes {
		missing += h.to - h.from
	}
	if sent > s.next {
		missing += sent - s.next
	}
	return missing
}
