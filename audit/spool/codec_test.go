package spool_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/core"
)

// through encodes and decodes a batch.
func through(t *testing.T, b *audit.Batch, most int) audit.Batch {
	t.Helper()
	var all audit.Batch
	for _, message := range spool.Encode(b, most) {
		part, unknown, err := spool.Decode(message)
		if err != nil || unknown != 0 {
			t.Fatal(unknown, err)
		}
		all.Messages = append(all.Messages, part.Messages...)
		all.Sessions = append(all.Sessions, part.Sessions...)
		all.Decisions = append(all.Decisions, part.Decisions...)
		all.Actions = append(all.Actions, part.Actions...)
		all.Deliveries = append(all.Deliveries, part.Deliveries...)
		all.Drops = append(all.Drops, part.Drops...)
	}
	return all
}

func TestEverythingIsEncoded(t *testing.T) {
	story := audittest.Story()
	extremes := &audit.Batch{
		Messages: []*audit.Message{
			{},
			{At: time.UnixMicro(math.MaxInt64 / 4).UTC(), Offset: math.MaxUint64, Size: math.MaxUint32, Deliveries: math.MaxUint32, Channel: "\xff\x00", Payload: []byte{0}},
			{Payload: bytes.Repeat([]byte("x"), 2<<20), Tags: map[string]string{"": "", "a": strings.Repeat("b", 1<<16)}},
		},
		Sessions: []*audit.Session{
			{}, {Worker: math.MaxUint16, NodeEpoch: math.MaxUint64, CloseCode: math.MaxUint16, Version: math.MaxUint8, RemoteAddr: netip.IPv6Unspecified()},
		},
		Decisions:  []*audit.Decision{{}, {Latency: math.MaxInt64, Message: core.ID{1}}, {Latency: -1}},
		Actions:    []*audit.Action{{}, {OK: true}},
		Deliveries: []*audit.Delivery{{}, {Deliveries: math.MaxUint32, Drops: 1}},
		Drops:      []*audit.Drop{{}, {Messages: math.MaxUint32}},
	}
	// Every field of every kind must make the way: each is set in turn.
	for name, b := range map[string]*audit.Batch{"story": story, "extremes": extremes, "each field": eachField()} {
		t.Run(name, func(t *testing.T) {
			want := *b
			want.Token = ""
			if got := through(t, b, 8<<20); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// eachField returns, of each kind, one event per field with nothing but this field set.
func eachField() *audit.Batch {
	return &audit.Batch{
		Messages: each[audit.Message](), Sessions: each[audit.Session](), Decisions: each[audit.Decision](), Actions: each[audit.Action](),
		Deliveries: each[audit.Delivery](), Drops: each[audit.Drop](),
	}
}

func each[E any]() (events []*E) {
	for i := range reflect.TypeFor[E]().NumField() {
		e := new(E)
		f := reflect.ValueOf(e).Elem().Field(i)
		switch f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(time.UnixMicro(1_763_700_000_123_456).UTC()))
		case time.Duration:
			f.SetInt(int64(time.Hour))
		case core.ID:
			f.Set(reflect.ValueOf(core.NewID()))
		case netip.Addr:
			f.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.7")))
		case []byte:
			f.SetBytes([]byte("bytes"))
		case []core.ID:
			f.Set(reflect.ValueOf([]core.ID{core.NewID(), core.NewID()}))
		case audit.Digest:
			f.Set(reflect.ValueOf(audit.Digest{1, 2, 31: 3}))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"name": "value", "more": ""}))
		default:
			switch f.Kind() {
			case reflect.String:
				f.SetString("text")
			case reflect.Bool:
				f.SetBool(true)
			default:
				f.SetUint(200)
			}
		}
		events = append(events, e)
	}
	return events
}

// noise cannot be compressed.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// A batch becomes as many messages as it needs, none too large for the bus, and a payload that is too large for any is left out.
func TestMessagesHaveALimit(t *testing.T) {
	const most = 64 << 10
	b := &audit.Batch{Actions: []*audit.Action{{Request: string(noise(most))}}}
	for range 100 {
		b.Messages = append(b.Messages, &audit.Message{Payload: noise(30 << 10)})
	}
	b.Messages = append(b.Messages, &audit.Message{Payload: noise(most), Size: most, Channel: "c"})
	for _, message := range spool.Encode(b, most) {
		if len(message) > most+most/10+100 {
			t.Errorf("a message has %d bytes", len(message))
		}
	}
	got := through(t, b, most)
	if !reflect.DeepEqual(got.Messages[:100], b.Messages[:100]) {
		t.Error("the messages that fit are not the same")
	}
	if m := got.Messages[100]; m.Payload != nil || m.Size != most || m.Channel != "c" || m.Tags["payload_left_out"] == "" {
		t.Errorf("the one that does not fit: %+v", m)
	}
	if a := got.Actions[0]; len(a.Request) > 100 {
		t.Errorf("the action that does not fit has %d bytes", len(a.Request))
	}
}

// A record may have more fields at its end than this program knows.
func TestLaterFieldsAreIgnored(t *testing.T) {
	records := spool.Records(&audit.Batch{Messages: audittest.Messages(0, 1)})
	longer := append(bytes.Clone(records), 1, 2, 3)
	longer[1] += 3
	got, _, err := spool.Decode(spool.Pack(longer))
	if err != nil || len(got.Messages) != 1 || got.Messages[0].Channel != "chat:room-0" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, message := range spool.Encode(audittest.Story(), 1<<20) {
		f.Add(message, true)
	}
	f.Add(spool.Records(audittest.Story()), false)
	f.Fuzz(func(t *testing.T, data []byte, packed bool) {
		if !packed {
			data = spool.Pack(data)
		}
		first, _, err := spool.Decode(data)
		if err != nil {
			return
		}
		var again audit.Batch
		for _, message := range spool.Encode(&first, 32<<20) {
			part, _, err := spool.Decode(message)
			if err != nil {
				t.Fatal(err)
			}
			again.Messages = append(again.Messages, part.Messages...)
		}
		if !reflect.DeepEqual(again.Messages, first.Messages) {
			t.Errorf("got  %+v\nwant %+v", again.Messages, first.Messages)
		}
	})
}
