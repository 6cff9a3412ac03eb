package protocol

// Format is how messages are written as bytes.
type Format uint8

// The formats of the client protocol.
const (
	JSON     Format = iota // Objects separated by newlines.
	Protobuf               // Messages with their length in front as a varint.
)

// String returns "json" or "protobuf", as in logs, in metrics and in the query of a handshake.
func (f Format) String() string {
	if f == Protobuf {
		return "protobuf"
	}
	return "json"
}
