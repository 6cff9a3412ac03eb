package protocol

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

// NarrowWindow is the window of Narrow connections, in bytes: some clients have no more room. What is longer goes to them uncompressed,
// so that a message needs not be compressed for them again.
const NarrowWindow = 1 << 12

// NarrowWindowBits is the same as the parameter server_max_window_bits says it (RFC 7692 §7.1.2.1).
const NarrowWindowBits = 12

// Deflate compresses frames for Deflated connections (RFC 7692), each by itself, without what went before: so all connections can have
// the same bytes, and none needs a window of its own in memory. Its methods may be called concurrently.
type Deflate struct {
	least   int
	writers sync.Pool // Of *deflater.

	frames, before, after atomic.Uint64
}

// NewDeflate makes a Deflate that compresses payloads of least bytes or more, at a level from 1 (fastest) to 9 (smallest).
func NewDeflate(level, least int) *Deflate {
	return &Deflate{least: least, writers: sync.Pool{New: func() any {
		w, err := flate.NewWriter(nil, level)
		if err != nil { // Not with a level that was checked.
			w, _ = flate.NewWriter(nil, flate.BestSpeed)
		}
		return &deflater{writer: w}
	}}}
}

// deflater is what one compression needs: some hundred KiB, and therefore pooled.
type deflater struct {
	writer *flate.Writer
	out    bytes.Buffer
}

// maxKept is the largest buffer that a deflater keeps.
const maxKept = 256 << 10

// Frame returns an uncompressed frame of any encoding as a connection of the Deflated encoding e gets it: compressed, unless it is too
// short for that, too long for the connection's window, or not shorter then.
func (d *Deflate) Frame(e Encoding, frame []byte) []byte {
	if d.applies(e, len(frame)-headerSize(frame)) {
		return d.compress(frame)
	}
	return frame
}

func (d *Deflate) applies(e Encoding, size int) bool {
	return size >= d.least && (e&Narrow == 0 || size <= NarrowWindow)
}

func (d *Deflate) compress(frame []byte) []byte {
	w := d.writers.Get().(*deflater)
	defer d.writers.Put(w)
	w.out.Reset()
	w.writer.Reset(&w.out)
	payload := frame[headerSize(frame):]
	_, _ = w.writer.Write(payload) // A buffer takes everything.
	_ = w.writer.Flush()
	// The flush ends in an empty block, whose last four bytes the receiver puts back (RFC 7692 §7.2.1).
	packed := bytes.TrimSuffix(w.out.Bytes(), []byte{0x00, 0x00, 0xff, 0xff})
	d.frames.Add(1)
	d.before.Add(uint64(len(payload)))
	if len(packed) < len(payload) {
		out := make([]byte, 0, maxHeader+len(packed))
		frame = append(appendHeader(out, frame[0]|bitCompressed, len(packed)), packed...)
		d.after.Add(uint64(len(packed)))
	} else {
		d.after.Add(uint64(len(payload)))
	}
	if w.out.Cap() > maxKept {
		w.out = bytes.Buffer{}
	}
	return frame
}

// DeflateStats is what a Deflate has done. A frame that goes to many connections counts once.
type DeflateStats struct {
	Frames        uint64
	Before, After uint64 // Bytes of their payloads.
}

// Stats returns what was done so far.
func (d *Deflate) Stats() DeflateStats {
	return DeflateStats{Frames: d.frames.Load(), Before: d.before.Load(), After: d.after.Load()}
}

// Frames are one message in the encodings of those who get it, each made when the first of them needs it.
type Frames [Encodings][]byte

// Fill makes the frame of an encoding that is still missing, with plain, which makes an uncompressed one. d is needed for Deflated
// encodings.
func (f *Frames) Fill(e Encoding, d *Deflate, plain func(Encoding) []byte) []byte {
	base := e.plain()
	if f[base] == nil {
		f[base] = plain(base)
	}
	switch size := len(f[base]) - headerSize(f[base]); {
	case e == base:
	case !d.applies(e, size):
		f[e] = f[base]
	case f[e&^Narrow] != nil: // Those with another window have it.
		f[e] = f[e&^Narrow]
	default:
		f[e] = d.compress(f[base])
		f[e&^Narrow] = f[e]
	}
	return f[e]
}
