//go:build !race

// Without the race detector, which allocates too.

package protocol_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// TestFrameAllocations holds that the size of a publication's frame is known before it is written, and that little memory is left over.
func TestFrameAllocations(t *testing.T) {
	for _, format := range formats {
		for _, size := range []int{1, 200, 1 << 16} {
			lone, full := &core.Publication{Data: bytes.Repeat([]byte("1"), size)}, fullPublication()
			full.Data, full.Offset = lone.Data, math.MaxUint64
			for name, frame := range map[string]func() []byte{
				"the least": func() []byte {
					return protocol.WebSocketEncoding(format).AppendPublicationFrame(nil, "r", 0, lone)
				},
				"everything": func() []byte {
					return (protocol.WebSocketEncoding(format) | protocol.Numbered).AppendPublicationFrame(nil, "r", math.MaxInt64, full)
				},
			} {
				if got := testing.AllocsPerRun(100, func() { frame() }); got > 1 {
					t.Errorf("%s: %s with %d bytes: %v allocations, want 1", format, name, size, got)
				}
				if f := frame(); size == 200 && cap(f)-len(f) > 112 { // Numbers are taken for longer than Protobuf has them.
					t.Errorf("%s: %s with %d bytes: a frame of %d bytes has %d", format, name, size, len(f), cap(f))
				}
			}
		}
	}
}
