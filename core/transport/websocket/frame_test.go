package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// masked makes a client's frame.
func masked(first byte, mask uint32, payload string) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		frame = append(frame, bitMasked|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, bitMasked|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, bitMasked|127), uint64(n))
	}
	frame = binary.LittleEndian.AppendUint32(frame, mask)
	for i := range len(payload) {
		frame = append(frame, payload[i]^byte(mask>>(8*(i%4))))
	}
	return frame
}

// stream reads what comes in pieces as a connection does, until something is wrong with it. largest is the largest buffer it had.
func stream(b *buffers, l limits, pieces [][]byte) (payloads []string, largest int, err error) {
	var in inbox
	for _, piece := range pieces {
		for len(piece) > 0 {
			n := copy(in.room(b), piece)
			in.to += n
			piece = piece[n:]
			largest = max(largest, len(*in.buffer))
			for in.to > 0 {
				f, size, err := l.cut(in.unread())
				if errors.Is(err, errPartial) {
					in.needed = size
					break
				}
				if err != nil {
					return payloads, largest, err
				}
				payloads = append(payloads, string(f.payload))
				in.skip(size, b)
			}
		}
		in.free(b)
	}
	if in.to == 0 && in.buffer != nil {
		payloads = append(payloads, "a buffer is kept for nothing")
	}
	return payloads, largest, nil
}

// shred cuts bytes into pieces of at most so many.
func shred(data []byte, most int, random *rand.Rand) (pieces [][]byte) {
	for len(data) > 0 {
		n := min(1+random.IntN(most), len(data))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}

func TestFramesInPieces(t *testing.T) {
	want := []string{
		"", "{}", strings.Repeat("a", 125), strings.Repeat("b", 126), "x", strings.Repeat("c", 1000), strings.Repeat("d", 64), strings.Repeat("e", 70_000),
		strings.Repeat("f", 255), strings.Repeat("g", 256), "", strings.Repeat("h", 65_536), "1234567", "12345678", "123456789",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, buffer := range []int{16, 256, 1024, 1 << 17} {
		for _, most := range []int{1, 3, 100, 1024, 1 << 20} {
			var data []byte
			for _, payload := range want {
				data = append(data, masked(bitFin|opText, random.Uint32(), payload)...)
			}
			got, largest, err := stream(newBuffers(buffer), limits{size: 70_000}, shred(data, most, random))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("in pieces of %d, with buffers of %d: %d frames, %v", most, buffer, len(got), err)
			}
			if largest > max(buffer, 70_014) {
				t.Errorf("in pieces of %d, with buffers of %d: one of %d", most, buffer, largest)
			}
		}
	}
}

// What a header promises costs nothing before it comes.
func TestPromisesCostNothing(t *testing.T) {
	huge := masked(bitFin|opBinary, 0, strings.Repeat("x", 1<<20))
	for _, sent := range []int{1, 2, 8, 14, 100, 1000, 1 << 18} {
		if _, largest, err := stream(newBuffers(64), limits{size: 1 << 20}, [][]byte{huge[:sent]}); err != nil || largest > max(64, 2*sent) {
			t.Errorf("after %d bytes the buffer has %d, %v", sent, largest, err)
		}
	}
}

func TestWaitingNeedsNoMemory(t *testing.T) {
	b, one := newBuffers(1024), masked(bitFin|opText, 7, `{"id":1,"ping":{}}`)
	var in inbox
	allocations := testing.AllocsPerRun(1000, func() {
		in.to += copy(in.room(b), one)
		_, size, err := limits{size: 1024}.cut(in.unread())
		if err != nil {
			t.Fatal(err)
		}
		in.skip(size, b)
		in.free(b)
	})
	if in.buffer != nil || allocations > 0 {
		t.Errorf("a buffer is kept: %v; %v allocations for a frame", in.buffer != nil, allocations)
	}
}

func TestPace(t *testing.T) {
	p, now := pace{}, time.Now().UnixNano()
	if p.calm() {
		t.Error("a goroutine that has done nothing makes way")
	}
	for i := range busyAfter + 1 {
		p.came(now + int64(i))
		if calm := p.calm(); calm != (i < busyAfter) {
			t.Errorf("after %d messages at once: calm %v", i+1, calm)
		}
	}
	p.came(now + int64(time.Minute))
	if !p.calm() || p.calm() {
		t.Error("a message after a minute finds the connection busy, or the goroutine after it makes way before it has done anything")
	}
}

func TestGoodbyesOfClients(t *testing.T) {
	for _, test := range []struct {
		payload string
		code    uint32
		answer  string
		err     error
	}{
		{"", 1005, "", nil},
		{"\x03\xe8", 1000, "\x03\xe8", nil},
		{"\x03\xe9bye", 1001, "\x03\xe9", nil},
		{"\x0b\xb8", 3000, "\x0b\xb8", nil},
		{"\x13\x87", 4999, "\x13\x87", nil},
		{"\x03", 0, "", errProtocol},
		{"\x00\x00", 0, "", errProtocol},
		{"\x03\xed", 0, "", errProtocol}, // 1005
		{"\x03\xf7", 0, "", errProtocol}, // 1015
		{"\x13\x88", 0, "", errProtocol}, // 5000
		{"\x03\xe8\xff", 0, "", errUTF8},
	} {
		code, answer, err := farewellOf([]byte(test.payload))
		if code != test.code && err == nil || string(answer) != test.answer || !errors.Is(err, test.err) {
			t.Errorf("%q: %d, %q, %v", test.payload, code, answer, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x82\x01\x02\x03\x04{}"), uint64(1))
	f.Add([]byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint64(2))
	f.Add(bytes.Repeat([]byte("\x89\x80\x00\x00\x00\x00"), 3), uint64(3))
	f.Add([]byte("\xc2\xfe\x01\x00\x00\x00\x00\x00"), uint64(4))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		for _, l := range []limits{{size: 300}, {size: 300, deflated: true}} {
			whole, _, wantErr := stream(newBuffers(1<<12), l, [][]byte{bytes.Clone(data)})
			pieces, largest, err := stream(newBuffers(32), l, shred(bytes.Clone(data), 40, random))
			if !slices.Equal(whole, pieces) || (err == nil) != (wantErr == nil) {
				t.Errorf("in pieces %d frames, %v; at once %d, %v", len(pieces), err, len(whole), wantErr)
			}
			if largest > 314 {
				t.Errorf("a buffer of %d for frames of at most 300", largest)
			}
		}
	})
}
