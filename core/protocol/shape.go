package protocol

import (
	"errors"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The generated Protobuf code is fast because it leaves checks to its caller: that strings are UTF-8, that messages do not nest
// without end, and that the parts of map entries have the right type. A shape is what these checks have to know of a message
// type, taken once from its descriptor.
type shape struct {
	fields []field // By field number; the zero field is unknown.
}

type field struct {
	known   bool
	wire    protowire.Type
	text    bool   // A string.
	message *shape // A message, or the entries of a map.
}

// The shapes are immutable once made. Descriptors exist only after the generated code's init, so they are made on first use.
var (
	commandShape = sync.OnceValue(func() *shape { return shapeOf((*Command)(nil)) })
	replyShape   = sync.OnceValue(func() *shape { return shapeOf((*Reply)(nil)) })
)

func shapeOf(m protoreflect.ProtoMessage) *shape {
	return describe(m.ProtoReflect().Descriptor(), map[protoreflect.FullName]*shape{})
}

func describe(message protoreflect.MessageDescriptor, known map[protoreflect.FullName]*shape) *shape {
	if s := known[message.FullName()]; s != nil {
		return s
	}
	s := new(shape)
	known[message.FullName()] = s // Before its fields: a FilterNode holds FilterNodes.
	for i := range message.Fields().Len() {
		f := message.Fields().Get(i)
		for len(s.fields) <= int(f.Number()) {
			s.fields = append(s.fields, field{})
		}
		one := field{known: true, wire: protowire.BytesType}
		switch f.Kind() {
		case protoreflect.StringKind:
			one.text = true
		case protoreflect.MessageKind:
			one.message = describe(f.Message(), known)
		case protoreflect.BytesKind:
		default: // Nothing in client.proto is a float or of fixed size.
			one.wire = protowire.VarintType
		}
		s.fields[f.Number()] = one
	}
	return s
}

var (
	errProtobuf = errors.New("malformed message")
	errWireType = errors.New("a field of the wrong type")
	errTooDeep  = errors.New("messages nested too deeply")
	errNotUTF8  = errors.New("a string that is not UTF-8")
)

// check returns an error unless b is well-formed, nests at most depth messages and has UTF-8 in its strings.
func (s *shape) check(b []byte, depth int) error {
	if depth == 0 {
		return errTooDeep
	}
	return s.each(b, func(text []byte) error {
		if !utf8.Valid(text) {
			return errNotUTF8
		}
		return nil
	}, func(inner *shape, b []byte) error { return inner.check(b, depth-1) })
}

// repair puts a question mark for every byte in b's strings that is not part of UTF-8, so that lengths stay what they are.
func (s *shape) repair(b []byte) {
	_ = s.each(b, func(text []byte) error {
		if utf8.Valid(text) {
			return nil
		}
		for i := 0; i < len(text); {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				text[i] = '?'
			}
			i += size
		}
		return nil
	}, func(inner *shape, b []byte) error { inner.repair(b); return nil })
}

// each calls text for each string and message for each message that is directly in b. It returns their first error, or its own
// when b is malformed.
func (s *shape) each(b []byte, text func([]byte) error, message func(*shape, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || number > protowire.MaxValidNumber {
			return errProtobuf
		}
		b = b[n:]
		var f field
		if int(number) < len(s.fields) {
			f = s.fields[number]
		}
		if f.known && kind != f.wire {
			return errWireType
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return errProtobuf
		}
		value := b[:n]
		b = b[n:]
		var err error
		switch {
		case f.text:
			err = text(content(value))
		case f.message != nil:
			err = message(f.message, content(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// content takes the length off a value of the bytes type.
func content(value []byte) []byte {
	b, _ := protowire.ConsumeBytes(value)
	return b
}
