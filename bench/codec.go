package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// codec is one form of the client protocol, from the client's side. It has no state.
type codec interface {
	// The append functions add one command, ready to be the payload of a frame.
	appendConnect(dst []byte, id uint32, token string, data []byte) []byte
	// appendSubscribe asks for what came after from as well, when from is not nil.
	appendSubscribe(dst []byte, id uint32, channel string, from *position) []byte
	appendPublish(dst []byte, id uint32, channel string, data []byte) []byte
	appendHistory(dst []byte, id uint32, channel string) []byte
	appendPresence(dst []byte, id uint32, channel string) []byte
	// pong is the answer to a server ping.
	pong() []byte
	// cut splits the first message off a frame.
	cut(frame []byte) (message, rest []byte, err error)
	// decode reads a message. hint is where the mark was last time in a message like this, and is kept up to date.
	decode(message []byte, hint *int) (reply, error)
	binary() bool
	subprotocol() string
}

// reply is one message of the server, as far as the generator cares.
type reply struct {
	kind kind
	id   uint32 // Of the command that is answered.
	mark []byte // Of a publication, with what follows it; nil when it carries none.
	size int    // Bytes of the whole message.
	code uint32 // Of an error, an unsubscribe, a disconnect.
	text string
	at   position // Of a history or a subscribe result.

	recovered bool     // Of a subscribe result: missed is all that came after the position that was asked for.
	missed    [][]byte // Payloads.
	members   int      // Of a presence result.
}

// position is a place in the history of a channel.
type position struct {
	epoch  string
	offset uint64
}

type kind int

const (
	kindOther       kind = iota // A push nobody waits for, such as a join.
	kindPing                    // The server wants an answer.
	kindPublication             // A delivered message.
	kindPublished               // A publish command was taken.
	kindResult                  // Another command succeeded.
	kindError                   // A command was refused.
	kindUnsubscribe             // The server ended the subscription.
	kindDisconnect              // The server ends the connection.
)

func newCodec(protocol string) codec {
	if protocol == Protobuf {
		return protobufCodec{}
	}
	return jsonCodec{}
}

// findMark looks for the mark where it was last time, and then everywhere.
func findMark(message []byte, hint *int) []byte {
	if i := *hint; i > 0 && i+markLen <= len(message) && string(message[i:i+len(markTag)]) == markTag {
		return message[i:]
	}
	i := bytes.Index(message, []byte(markTag))
	if i < 0 {
		return nil
	}
	*hint = i
	return message[i:]
}

var errMalformed = errors.New("the server sent something that is not the client protocol")

// refusal is the server's no to a command.
type refusal struct {
	command string
	code    uint32
	text    string
}

func (r refusal) Error() string {
	text := fmt.Sprintf("the server refused the %s command: error %d, %s", r.command, r.code, r.text)
	if hint := r.hint(); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

// hint says what a person can do about a refusal.
func (r refusal) hint() string {
	switch r.code {
	case 101:
		return "the server wants to know who connects: give --token or --token-secret, or --user-data for a server that takes names on trust"
	case 102:
		return "is there such a namespace? give one with --namespace"
	case 103:
		return "the namespace does not let this client do that: choose another with --namespace, or connect as somebody else with --token"
	case 106:
		return "see client.limits in the server's configuration"
	case 107:
		return "is the channel name too long, or is this another protocol? see --channel and --protocol"
	case 108:
		return "the namespace does not offer that: choose one that keeps a history with --namespace"
	case 109, 110:
		return "make a new token"
	case 111:
		return "the server limits how fast a client may send: use more --publishers or a lower --rate, or run the server with " +
			"--client.limits.commands_per_second 0 (a demo server: --demo, too)"
	default:
		return ""
	}
}
