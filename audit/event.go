package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/zenconn/server/core"
)

// Event is one thing that happened: a *Message, *Session, *Decision, *Action, *Delivery or *Drop. After Record nobody writes to it.
type Event interface{ event() }

// Message records one publication (table audit_messages).
type Message struct {
	At          time.Time
	ID          core.ID
	Node        string
	Namespace   string
	Channel     string
	User        string // Empty for anonymous clients and for the server itself.
	Session     core.ID
	ClientID    string // What the client calls itself in its connect command.
	Offset      uint64
	Size        uint32 // Bytes of the payload as published, also when the payload is not kept.
	Deliveries  uint32 // Subscribers of its own node it was queued for; those of other nodes are in Delivery events.
	Verdict     MessageVerdict
	ContentType string // "application/json" or "application/octet-stream".
	Payload     []byte
	PayloadHash string // SHA-256 in hexadecimal, where the hash is kept instead of the payload; see PayloadHash.
	Tags        map[string]string
	Decisions   []core.ID // What plugins decided about it, in order: Decision events.
}

// PayloadHash returns what is kept of a payload whose hash is to be kept.
func PayloadHash(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// MessageVerdict says what became of a message.
type MessageVerdict string

// The message verdicts.
const (
	MessageAllow  MessageVerdict = "allow"
	MessageModify MessageVerdict = "modify"
	MessageDrop   MessageVerdict = "drop"
)

// Session records one connection (table audit_sessions). It is recorded at least twice: when it opened, and, with all fields set, when
// it closed. A store keeps the record with the highest Version; see VersionOpen.
type Session struct {
	ConnectedAt    time.Time
	DisconnectedAt time.Time // Zero while open.
	Session        core.ID
	Node           string
	NodeEpoch      uint64 // Unix seconds of the node's start: tells the lives of a node apart.
	Worker         uint16
	User           string
	Transport      string
	Protocol       string
	RemoteAddr     netip.Addr
	UserAgent      string
	MessagesIn     uint64
	MessagesOut    uint64
	BytesIn        uint64
	BytesOut       uint64
	CloseCode      uint16
	CloseReason    string
	Version        uint8
}

// Decision records one verdict of a plugin, or of the server's own rules (table audit_decisions).
type Decision struct {
	At         time.Time
	ID         core.ID
	Node       string
	Hook       string
	Plugin     string // "server" for the server's own rules.
	PluginHash string
	Verdict    DecisionVerdict
	Reason     string
	User       string
	Session    core.ID
	Channel    string
	Message    core.ID
	RemoteAddr netip.Addr
	Latency    time.Duration
}

// DecisionVerdict says what was decided.
type DecisionVerdict string

// The decision verdicts.
const (
	DecisionAllow   DecisionVerdict = "allow"
	DecisionModify  DecisionVerdict = "modify"
	DecisionDrop    DecisionVerdict = "drop"
	DecisionReject  DecisionVerdict = "reject"
	DecisionError   DecisionVerdict = "error"
	DecisionTimeout DecisionVerdict = "timeout"
)

// Action records one administrative act (table audit_actions): an API call, a start, a stop, a reload.
type Action struct {
	At         time.Time
	ID         core.ID
	Node       string
	Actor      string
	ActorKind  string // "server", "api", "cli", "signal".
	Action     string
	Target     string
	OK         bool
	Error      string
	RemoteAddr netip.Addr
	Request    string
	Latency    time.Duration
}

// Delivery counts the subscribers of one node that got a message which another node, or another goroutine than the publisher's,
// handed to it (table audit_deliveries). A message may have several of one node: they add up.
type Delivery struct {
	At         time.Time
	Message    core.ID
	Node       string
	Namespace  string
	Channel    string
	Deliveries uint32
	Drops      uint32 // Subscribers that should have got it and did not, as far as the node knows.
}

// Drop counts the messages that a session did not get, for one reason within about a second (table audit_drops).
type Drop struct {
	At       time.Time
	Node     string
	Session  core.ID
	User     string
	Reason   string
	Messages uint32
}

func (*Message) event()  {}
func (*Session) event()  {}
func (*Decision) event() {}
func (*Action) event()   {}
func (*Delivery) event() {}
func (*Drop) event()     {}
