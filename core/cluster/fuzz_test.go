package cluster

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zenconn/server/core"
)

// Whatever comes over the bus is a hello or an error, and never ends the process.
func FuzzHello(f *testing.F) {
	f.Add([]byte(`{"v":1,"bus":1,"now":5,"uid":"01890a5d-ac96-774b-bcce-b302099a8057","name":"a","state":"ready","sessions":3}`))
	f.Add([]byte(`{"v":2,"uid":"01890A5D-AC96-774B-BCCE-B302099A8057","name":"a","pid":"x"}`))
	f.Add([]byte(`{"uid":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := parse(body)
		if err != nil {
			return
		}
		if id, err := core.ParseID(h.UID); err != nil || id.String() != h.UID || h.Name == "" {
			t.Fatalf("%q is %+v", body, h)
		}
	})
}

// What pack makes, unpack reads; what it does not make is an error.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("whello"), 3)
	f.Add([]byte("p0123456789abcdef\x00\x00\x00\x00\x00\x00\x01\x00x"), partSize)
	f.Fuzz(func(t *testing.T, message []byte, size int) {
		left := 10
		_, _ = unpack(message, func([]byte) ([]byte, error) {
			if left--; left < 0 {
				return nil, errors.New("no more")
			}
			return message, nil
		})
		d := newDepot()
		defer d.close()
		body := bytes.Repeat(append(message, 'x'), max(size, 1)%(3*partSize)/(len(message)+1)+1)
		packed, err := d.pack(body)
		if err != nil || len(packed) > headSize+partSize {
			t.Fatalf("%d bytes became %d, %v", len(body), len(packed), err)
		}
		got, err := unpack(packed, d.part)
		if err != nil || !bytes.Equal(got, body) || d.bytes != 0 || len(d.kept) != 0 {
			t.Fatalf("%d bytes came back as %d, %v; %d are kept", len(body), len(got), err, d.bytes)
		}
	})
}
