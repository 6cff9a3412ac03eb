package protocol_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/zenconn/server/core/protocol"
)

// The oracle reads and writes the JSON form of any message with encoding/json and Protobuf reflection: slowly, and by another
// way than the code under test. It knows members by the field names of client.proto and bytes as raw JSON.

// readJSON sets the fields of m from an object. Of members with the same name the last one wins.
func readJSON(object []byte, m protoreflect.Message) error {
	return eachMember(object, func(name string, value json.RawMessage) error {
		f := m.Descriptor().Fields().ByTextName(name)
		switch {
		case f == nil:
			return nil
		case string(value) == "null" && f.Kind() != protoreflect.BytesKind:
			m.Clear(f)
			return nil
		case f.IsMap():
			m.Clear(f)
			entries := m.Mutable(f).Map()
			return eachMember(value, func(key string, value json.RawMessage) error {
				k := protoreflect.ValueOfString(key).MapKey()
				if string(value) == "null" {
					entries.Clear(k)
					return nil
				}
				v, err := readValue(value, f.MapValue(), entries.NewValue)
				if err == nil {
					entries.Set(k, v)
				}
				return err
			})
		case f.IsList():
			var elements []json.RawMessage
			if err := json.Unmarshal(value, &elements); err != nil {
				return err
			}
			m.Clear(f)
			list := m.Mutable(f).List()
			for _, e := range elements {
				if string(e) == "null" {
					continue
				}
				v, err := readValue(e, f, list.NewElement)
				if err != nil {
					return err
				}
				list.Append(v)
			}
			return nil
		default:
			v, err := readValue(value, f, func() protoreflect.Value { return m.NewField(f) })
			if err == nil {
				m.Set(f, v)
			}
			return err
		}
	})
}

func readValue(raw json.RawMessage, f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) (protoreflect.Value, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := fresh()
		return v, readJSON(raw, v.Message())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(raw), nil
	case protoreflect.StringKind:
		var s string
		err := json.Unmarshal(raw, &s)
		return protoreflect.ValueOfString(s), err
	case protoreflect.BoolKind:
		var b bool
		err := json.Unmarshal(raw, &b)
		return protoreflect.ValueOfBool(b), err
	case protoreflect.Uint32Kind:
		var n uint32
		err := json.Unmarshal(raw, &n)
		return protoreflect.ValueOfUint32(n), err
	case protoreflect.Uint64Kind:
		var n uint64
		err := json.Unmarshal(raw, &n)
		return protoreflect.ValueOfUint64(n), err
	case protoreflect.Int32Kind:
		var n int32
		err := json.Unmarshal(raw, &n)
		return protoreflect.ValueOfInt32(n), err
	case protoreflect.Int64Kind:
		var n int64
		err := json.Unmarshal(raw, &n)
		return protoreflect.ValueOfInt64(n), err
	default:
		return protoreflect.Value{}, fmt.Errorf("the oracle knows no %s", f.Kind())
	}
}

func eachMember(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("want an object"), err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON is the inverse of readJSON, for messages whose bytes fields hold JSON.
func writeJSON(m protoreflect.Message) json.RawMessage {
	object := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			entries := map[string]any{}
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				entries[k.String()] = writeValue(f.MapValue(), v)
				return true
			})
			object[f.TextName()] = entries
		case f.IsList():
			var elements []any
			for i := range v.List().Len() {
				elements = append(elements, writeValue(f, v.List().Get(i)))
			}
			object[f.TextName()] = elements
		default:
			object[f.TextName()] = writeValue(f, v)
		}
		return true
	})
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return raw
}

func writeValue(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return writeJSON(v.Message())
	case protoreflect.BytesKind:
		return json.RawMessage(v.Bytes())
	default:
		return v.Interface()
	}
}

// fill sets every field of m to a value of its own, down to so many levels of messages.
func fill(m protoreflect.Message, levels int, n *int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() != nil && !f.IsMap() && levels == 0 {
			continue
		}
		value := func(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) protoreflect.Value {
			*n++
			switch f.Kind() {
			case protoreflect.MessageKind:
				v := fresh()
				fill(v.Message(), levels-1, n)
				return v
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes(fmt.Appendf(nil, `{"n": [%d, "é\n"]}`, *n))
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(fmt.Sprintf("%s \"%d\"\\\n\x01<é>\u2028😀", f.Name(), *n))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(math.MaxUint32 - uint32(*n))
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(math.MaxUint64 - uint64(*n))
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(math.MinInt32 + int32(*n))
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(math.MinInt64 + int64(*n))
			default:
				panic(f.Kind())
			}
		}
		switch {
		case f.IsMap():
			for range 2 {
				entries := m.Mutable(f).Map()
				key := protoreflect.ValueOfString(fmt.Sprintf("key %d", *n)).MapKey()
				entries.Set(key, value(f.MapValue(), entries.NewValue))
			}
		case f.IsList():
			for range 2 {
				list := m.Mutable(f).List()
				list.Append(value(f, list.NewElement))
			}
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
}

// readCommands is the oracle for a whole frame of commands.
func readCommands(f protocol.Format, frame []byte) ([]*protocol.Command, error) {
	if f == protocol.Protobuf {
		return splitProtobuf(frame, func() *protocol.Command { return new(protocol.Command) })
	}
	if !utf8.Valid(frame) {
		return nil, errors.New("not UTF-8")
	}
	var all []*protocol.Command
	d := json.NewDecoder(bytes.NewReader(frame))
	for {
		gap := frame[d.InputOffset():]
		gap = gap[:len(gap)-len(bytes.TrimLeft(gap, " \t\r\n"))]
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) && len(all) > 0 {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if len(all) > 0 && !bytes.Contains(gap, []byte("\n")) {
			return nil, errors.New("no newline between commands")
		}
		m := new(protocol.Command)
		if err := readJSON(raw, m.ProtoReflect()); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
}

// readReplies is the oracle for a whole frame of replies: JSON the way the JavaScript SDK splits it.
func readReplies(t testing.TB, f protocol.Format, frame []byte) []*protocol.Reply {
	t.Helper()
	if f == protocol.Protobuf {
		all, err := splitProtobuf(frame, func() *protocol.Reply { return new(protocol.Reply) })
		if err != nil {
			t.Fatalf("replies %q: %v", frame, err)
		}
		return all
	}
	var all []*protocol.Reply
	for line := range bytes.SplitSeq(frame, []byte("\n")) {
		if !json.Valid(line) || !utf8.Valid(line) {
			t.Fatalf("reply %d is not JSON: %q", len(all), line)
		}
		m := new(protocol.Reply)
		if err := readJSON(line, m.ProtoReflect()); err != nil {
			t.Fatalf("reply %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func splitProtobuf[M proto.Message](frame []byte, fresh func() M) ([]M, error) {
	var all []M
	for len(all) == 0 || len(frame) > 0 {
		size, n := binary.Uvarint(frame)
		if n <= 0 || size > uint64(len(frame)-n) {
			return nil, errors.New("bad length")
		}
		m := fresh()
		if err := proto.Unmarshal(frame[n:n+int(size)], m); err != nil {
			return nil, err
		}
		all = append(all, m)
		frame = frame[n+int(size):]
	}
	return all, nil
}

func discardUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				discardUnknown(v.Message())
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				discardUnknown(v.List().Get(i).Message())
			}
		case !f.IsMap() && f.Message() != nil:
			discardUnknown(v.Message())
		}
		return true
	})
}

// decode is the code under test, for a whole frame.
func decode(f protocol.Format, frame []byte) ([]*protocol.Command, error) {
	var all []*protocol.Command
	d := f.Commands(frame)
	for {
		m := new(protocol.Command)
		switch err := d.Next(m); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		if m.Publish != nil {
			m.Publish = proto.Clone(m.Publish).(*protocol.PublishRequest) // It lasts until the next one is read.
		}
		all = append(all, m)
	}
}

// same fails the test when the messages differ.
func same[M proto.Message](t testing.TB, got, want []M) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("message %d:\n got %v\nwant %v", i, got[i], want[i])
		}
	}
}
