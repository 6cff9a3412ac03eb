package protocol_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

const least = 256

// unpack takes a frame apart: its first byte, and its payload as the receiver has it.
func unpack(t testing.TB, frame []byte, window int) (first byte, payload []byte) {
	t.Helper()
	size, head := uint64(frame[1]), 2
	switch size {
	case 126:
		size, head = uint64(binary.BigEndian.Uint16(frame[2:])), 4
	case 127:
		size, head = binary.BigEndian.Uint64(frame[2:]), 10
	}
	if payload = frame[head:]; uint64(len(payload)) != size {
		t.Fatalf("the header says %d bytes, there are %d", size, len(payload))
	}
	if frame[0]&0x40 == 0 {
		return frame[0], payload
	}
	// What RFC 7692 §7.2.2 puts back, and an empty last block so that the reader finds an end.
	tail := []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}
	payload, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), bytes.NewReader(tail))))
	if err != nil {
		t.Fatal(err)
	}
	if len(payload) > window {
		t.Fatalf("%d bytes are compressed for a window of %d", len(payload), window)
	}
	return frame[0] &^ 0x40, payload
}

// TestDeflate compresses at the borders of all that decides whether it does.
func TestDeflate(t *testing.T) {
	noise := make([]byte, 70_000)
	source := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // To be the same every time.
	for i := range noise {
		noise[i] = byte(source.Uint32())
	}
	text := []byte(strings.Repeat("what is said again and again is short; ", 2000))
	for name, test := range map[string]struct {
		payload      []byte
		wide, narrow bool
	}{
		"short":                {text[:least-1], false, false},
		"just long enough":     {text[:least], true, true},
		"of the narrow window": {text[:protocol.NarrowWindow], true, true},
		"beyond it":            {text[:protocol.NarrowWindow+1], true, false},
		"of a long header":     {text[:70_000], true, false},
		"noise":                {noise[:3000], false, false},
		"long noise":           {noise, false, false},
		"empty":                {nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := protocol.NewDeflate(1, least)
			for _, format := range formats {
				plain := protocol.WebSocketEncoding(format)
				frame := plain.AppendFrame(nil, test.payload)
				for e, compressed := range map[protocol.Encoding]bool{
					plain | protocol.Deflated:                   test.wide,
					plain | protocol.Deflated | protocol.Narrow: test.narrow,
				} {
					got := d.Frame(e, frame)
					if is := got[0]&0x40 != 0; is != compressed || is && len(got) >= len(frame) {
						t.Errorf("encoding %d: compressed %v to %d of %d bytes", e, is, len(got), len(frame))
					}
					window := 1 << 20
					if e&protocol.Narrow != 0 {
						window = protocol.NarrowWindow
					}
					if first, payload := unpack(t, got, window); first != frame[0] || !bytes.Equal(payload, test.payload) {
						t.Errorf("encoding %d: it is another frame after it was compressed", e)
					}
				}
			}
		})
	}
}

// TestFrames makes the frames of one message for a mixed channel: each is right, and none is made or compressed twice.
func TestFrames(t *testing.T) {
	d := protocol.NewDeflate(1, least)
	pub := &core.Publication{Data: []byte(`"` + strings.Repeat("again ", 100) + `"`)}
	var frames protocol.Frames
	made := 0
	for range 2 {
		for e := range protocol.Encoding(protocol.Encodings) {
			if e&protocol.Narrow != 0 && e&protocol.Deflated == 0 || frames[e] != nil {
				continue
			}
			frames.Fill(e, d, func(e protocol.Encoding) []byte {
				made++
				return e.AppendPublicationFrame(nil, "news", 5, pub)
			})
		}
	}
	if stats := d.Stats(); made != 4 || stats.Frames != 4 {
		t.Errorf("made %d frames and compressed %d, want one for each of two formats and two ways to name the channel", made, stats.Frames)
	}
	for e := range protocol.Encoding(protocol.Encodings) {
		if e&protocol.Narrow != 0 && e&protocol.Deflated == 0 {
			continue
		}
		if (frames[e][0]&0x40 != 0) != (e&protocol.Deflated != 0) {
			t.Errorf("encoding %d: first byte %x", e, frames[e][0])
		}
		_, payload := unpack(t, frames[e], 1<<20)
		push := &protocol.Push{Channel: "news", Pub: protocol.FromPublication(pub)}
		if e&protocol.Numbered != 0 {
			push.Id, push.Channel = 5, ""
		}
		same(t, readReplies(t, e.Format(), payload), []*reply{{Push: push}})
	}
}

func TestDeflateStats(t *testing.T) {
	d := protocol.NewDeflate(9, least)
	frame := protocol.WebSocketJSON.AppendFrame(nil, bytes.Repeat([]byte("x"), 1000))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { d.Frame(protocol.WebSocketJSON|protocol.Deflated, frame) })
	}
	wg.Wait()
	if s := d.Stats(); s.Frames != 8 || s.Before != 8000 || s.After == 0 || s.After > 400 {
		t.Errorf("%+v", s)
	}
}

func FuzzDeflate(f *testing.F) {
	f.Add([]byte(strings.Repeat("again and ", 30)), uint8(1))
	f.Add([]byte{}, uint8(9))
	f.Fuzz(func(t *testing.T, payload []byte, level uint8) {
		d := protocol.NewDeflate(int(level)%9+1, 0)
		got := d.Frame(protocol.WebSocketProtobuf|protocol.Deflated, protocol.WebSocketProtobuf.AppendFrame(nil, payload))
		if _, back := unpack(t, got, len(payload)); !bytes.Equal(back, payload) {
			t.Errorf("%q came back as %q", payload, back)
		}
	})
}

// BenchmarkDeflate compresses a message of some 300 bytes, and one of 4 KiB.
func BenchmarkDeflate(b *testing.B) {
	pub := &core.Publication{Data: chatMessage(), Offset: 1000, Info: &core.ClientInfo{User: "alice", Client: core.NewID().String()}}
	one := protocol.WebSocketJSON.AppendPublicationFrame(nil, "room:1", 0, pub)
	for name, frame := range map[string][]byte{"one": one, "4KiB": protocol.WebSocketJSON.AppendFrame(nil, bytes.Repeat(one[4:], 4096/len(one)+1))} {
		b.Run(name, func(b *testing.B) {
			d := protocol.NewDeflate(1, 0)
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = d.Frame(protocol.WebSocketJSON|protocol.Deflated, frame)
			}
			b.ReportMetric(float64(len(out))/float64(len(frame)), "ratio")
		})
	}
}
