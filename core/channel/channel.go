// Package channel knows channel names, the namespaces they belong to, and the options of those. It decides nothing: rules and
// limits are applied by who asks.
package channel

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
)

// Rule says who may do something in the channels of a namespace.
type Rule uint8

// The rules.
const (
	Nobody  Rule = iota // No client, whatever was granted to it.
	Granted             // Clients with a grant, by token or plugin.
	User                // Also clients with a user name.
	Anyone              // All clients.
)

var ruleNames = [...]string{Nobody: "nobody", Granted: "granted", User: "user", Anyone: "anyone"}

func (r Rule) String() string { return ruleNames[r] }

// ParseRule reads the configuration's word for a rule.
func ParseRule(word string) (r Rule, ok bool) {
	i := slices.Index(ruleNames[:], word)
	return Rule(max(i, 0)), i >= 0
}

// SlowPolicy says what happens when a client does not read fast enough and its queue is full.
type SlowPolicy uint8

// The policies.
const (
	Disconnect SlowPolicy = iota // The client is closed with 3008.
	DropOldest                   // The oldest publications make room.
	Conflate                     // Only the newest publication of the channel is kept.
)

var slowPolicyNames = [...]string{Disconnect: "disconnect", DropOldest: "drop_oldest", Conflate: "conflate"}

func (p SlowPolicy) String() string { return slowPolicyNames[p] }

// ParseSlowPolicy reads the configuration's word for a policy.
func ParseSlowPolicy(word string) (p SlowPolicy, ok bool) {
	i := slices.Index(slowPolicyNames[:], word)
	return SlowPolicy(max(i, 0)), i >= 0
}

// Batch says how publications of a channel wait for others, to be delivered together.
type Batch struct {
	Delay  time.Duration // How long at most; 0: they do not wait.
	Size   int           // So many wait for no more.
	Latest bool          // Only the newest of them is delivered.
}

// Namespace holds the options of its channels. It is immutable.
type Namespace struct {
	Name          string
	Subscribe     Rule
	Publish       Rule
	Presence      bool
	JoinLeave     bool
	HistorySize   int // Publications kept per channel; 0: none.
	HistoryTTL    time.Duration
	Durable       bool // The history is kept on the bus; otherwise in this process.
	Recovery      bool
	ExcludeSender bool
	SlowConsumer  SlowPolicy
	Batch         Batch
	Numbers       bool // Clients may have channels named by their numbers: channel compaction.
	Binary        bool // Publications may be anything; otherwise they are JSON.
	AuditPayload  config.PayloadPolicy
	Reserved      bool // Only the server itself publishes: no client, plugin or caller of the server API does, and no plugin says how.
}

// defaultName is the namespace of channels without a colon.
const defaultName = "default"

// SystemSessions is the channel in which the server tells of every session that opens or closes. It belongs to the namespace
// $system, which no configuration can change: who has a grant may subscribe, nobody may publish, and nothing is kept.
const SystemSessions = "$system:sessions"

const systemName = "$system"

// System returns the namespace of SystemSessions.
func System() *Namespace {
	return &Namespace{Name: systemName, Subscribe: Granted, Publish: Nobody, SlowConsumer: DropOldest, Reserved: true}
}

// Namespaces finds the namespace of a channel. It is immutable and safe for concurrent use.
type Namespaces struct {
	maxLength int // Of a channel name, in bytes.
	byName    map[string]*Namespace
	system    *Namespace
}

// New turns checked configuration into namespaces. maxLength bounds channel names, in bytes.
func New(namespaces map[string]config.Namespace, maxLength int) (*Namespaces, error) {
	n := &Namespaces{maxLength: maxLength, byName: make(map[string]*Namespace, len(namespaces)), system: System()}
	for name, c := range namespaces {
		if strings.HasPrefix(name, "$") {
			return nil, fmt.Errorf("namespace %q: names that begin with $ are reserved for the server", name)
		}
		subscribe, ok1 := ParseRule(c.Subscribe)
		publish, ok2 := ParseRule(c.Publish)
		slow, ok3 := ParseSlowPolicy(c.SlowConsumer)
		if !ok1 || !ok2 || !ok3 || c.Content != "json" && c.Content != "binary" {
			return nil, fmt.Errorf("namespace %q: unknown rule, policy or content among %q, %q, %q, %q",
				name, c.Subscribe, c.Publish, c.SlowConsumer, c.Content)
		}
		n.byName[name] = &Namespace{
			Name: name, Subscribe: subscribe, Publish: publish, Presence: c.Presence, JoinLeave: c.JoinLeave,
			HistorySize: c.HistorySize, HistoryTTL: c.HistoryTTL, Recovery: c.Recovery, ExcludeSender: c.ExcludeSender,
			Durable: c.HistoryStorage == "file" && c.HistorySize > 0, SlowConsumer: slow, Binary: c.Content == "binary", AuditPayload: c.AuditPayload,
			Batch: Batch{Delay: c.BatchMaxDelay, Size: c.BatchMaxSize, Latest: c.BatchLatest}, Numbers: c.ChannelNumbers,
		}
	}
	return n, nil
}

// NamespaceOf returns the name of the namespace that a channel name belongs to.
func NamespaceOf(channel string) string {
	name, _, found := strings.Cut(channel, ":")
	if !found {
		return defaultName
	}
	return name
}

// Resolve checks a channel name and finds its namespace: what stands before the first colon, or the namespace "default" when there
// is none. A bad name is error 107, an unknown namespace error 102. Names that begin with $ are reserved for the server, which has
// the one channel SystemSessions.
func (n *Namespaces) Resolve(channel string) (*Namespace, *core.Error) {
	if channel == "" || len(channel) > n.maxLength {
		return nil, core.ErrBadRequest.Saying(fmt.Sprintf("a channel name has 1 to %d bytes", n.maxLength))
	}
	if !utf8.ValidString(channel) || strings.IndexFunc(channel, unicode.IsControl) >= 0 {
		return nil, core.ErrBadRequest.Saying("a channel name is UTF-8 without control characters")
	}
	name, rest, found := strings.Cut(channel, ":")
	if !found {
		name = defaultName
	} else if rest == "" {
		return nil, core.ErrBadRequest.Saying("a channel name has something behind its namespace")
	}
	if channel == SystemSessions {
		return n.system, nil
	}
	ns := n.byName[name]
	if ns == nil || channel[0] == '$' {
		return nil, core.ErrUnknownChannel
	}
	return ns, nil
}
