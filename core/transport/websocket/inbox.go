package websocket

import "sync"

// inbox is what was read of a connection and not yet handled. While there is nothing it has no buffer.
type inbox struct {
	buffer   *[]byte // Pooled, or of a size of its own for a long frame; nil: none.
	from, to int     // What is unread in it.
	needed   int     // So much must be there before there is a frame; 0: not known.
}

// buffers are read buffers of one size that nobody uses for now.
type buffers struct {
	size int
	pool sync.Pool // Of *[]byte.
}

func newBuffers(size int) *buffers {
	b := &buffers{size: size}
	b.pool.New = func() any { buffer := make([]byte, size); return &buffer }
	return b
}

// hold takes down what was read before there was an inbox.
func (i *inbox) hold(read []byte) { i.buffer, i.to = &read, len(read) }

func (i *inbox) unread() []byte {
	if i.buffer == nil {
		return nil
	}
	return (*i.buffer)[i.from:i.to]
}

// skip takes a frame off. With the last of what is unread a buffer of a size of its own is dropped.
func (i *inbox) skip(size int, b *buffers) {
	i.needed = 0
	if i.from += size; i.from < i.to {
		return
	}
	i.from, i.to = 0, 0
	if len(*i.buffer) != b.size {
		i.buffer = nil
	}
}

// free gives the buffer back if nothing is in it.
func (i *inbox) free(b *buffers) {
	if i.to > 0 || i.buffer == nil {
		return
	}
	b.pool.Put(i.buffer)
	i.buffer = nil
}

// room returns where to read to, which is never empty. A header may promise much, and nothing come: the buffer grows to no more than
// twice what came.
func (i *inbox) room(b *buffers) []byte {
	if i.buffer == nil {
		i.buffer = b.pool.Get().(*[]byte)
	}
	switch whole := *i.buffer; {
	case i.to < len(whole) && (i.from == 0 || i.to > i.from && i.needed <= len(whole)-i.from):
	case i.from > 0:
		i.to = copy(whole, whole[i.from:i.to])
		i.from = 0
	default:
		larger := make([]byte, max(b.size, min(2*len(whole), i.needed)))
		copy(larger, whole)
		if len(whole) == b.size {
			b.pool.Put(i.buffer)
		}
		i.buffer = &larger
	}
	return (*i.buffer)[i.to:]
}
