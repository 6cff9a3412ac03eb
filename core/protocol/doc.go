// Package protocol is the client protocol on the wire: the generated messages of client.proto, their JSON and Protobuf codecs,
// and the way messages are joined into frames.
//
// It holds no state but what a Deflate compresses with, starts no goroutine and knows nothing of sessions or channels. What it
// decodes owns its memory; what it encodes is appended to the caller's buffer.
package protocol
