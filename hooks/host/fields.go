package host

import "github.com/zenconn/server/hooks"

//go:generate go test -run TestGenerated -update .

// Field is a value of an event, by its number in the Wasm ABI hook_v1. A number keeps its meaning for ever.
type Field int32

// The fields.
const (
	FieldClient Field = iota + 1
	FieldUser
	FieldInfo
	FieldName
	FieldVersion
	FieldRemoteAddr
	FieldTransport
	FieldProtocol
	FieldUserAgent
	FieldHeader
	FieldConfig
	FieldChannel
	FieldData
	FieldToken
	FieldExpireAt
	FieldPresence
	FieldJoinLeave
	FieldRecovery
	FieldID
	FieldTags
	FieldRedirect
	FieldSkipHistory
	FieldExcludeSender
	FieldMethod
	FieldReply
	FieldSubscription
	FieldGrant
	FieldNamespace
	FieldSubscribe
	FieldPublish
	FieldHistorySize
	FieldHistoryTTL
	FieldSlowConsumer
	FieldCode
	FieldReason
	FieldKind
	FieldHook
	FieldAction
	FieldPayload
)

// Type is how a field's value is encoded.
type Type string

// The types.
const (
	Text  Type = "text"  // UTF-8.
	Bytes Type = "bytes" // Anything. For clients that speak JSON, and where the table says so, JSON.
	JSON  Type = "json"  // JSON text.
	Int   Type = "int"   // Eight bytes, two's complement, little endian.
	Bool  Type = "bool"  // One byte, 0 or 1.
	Flag  Type = "flag"  // The same, or absent.

	Duration Type = "duration" // Of functions only: milliseconds, as an integer; in Lua seconds.
)

// Access says what a plugin may do with a field in a hook.
type Access uint8

// The kinds of access, which add up.
const (
	Read  Access = 1
	Write Access = 2
)

// Description describes a field.
type Description struct {
	Field Field
	Name  string // In lower case with underscores; the kits spell it the way of their language.
	Type  Type
	Hooks map[hooks.Hook]Access
	Doc   string // What it means; one sentence.
}

// Everywhere is the pseudo hook of what can be read in every hook and outside of them.
const Everywhere hooks.Hook = ""

// ofClients are the hooks that a client causes.
var ofClients = []hooks.Hook{hooks.OnConnect, hooks.OnRefresh, hooks.OnSubscribe, hooks.OnPublish, hooks.OnRPC, hooks.OnSend,
	hooks.OnUnsubscribe, hooks.OnDisconnect}

// in gives the same access in several hooks.
func in(access Access, names ...hooks.Hook) map[hooks.Hook]Access {
	m := make(map[hooks.Hook]Access, len(names))
	for _, name := range names {
		m[name] = access
	}
	return m
}

// and adds access in one hook.
func and(m map[hooks.Hook]Access, access Access, names ...hooks.Hook) map[hooks.Hook]Access {
	for _, name := range names {
		m[name] = access
	}
	return m
}

// Fields lists all fields in the order of their numbers: the one table that the runtime, the reference and the kits follow.
func Fields() []Description {
	const both = Read | Write
	connect, refresh, subscribe, channel := hooks.OnConnect, hooks.OnRefresh, hooks.OnSubscribe, hooks.OnChannel
	publish, rpc, send, unsubscribe := hooks.OnPublish, hooks.OnRPC, hooks.OnSend, hooks.OnUnsubscribe
	disconnect, audit := hooks.OnDisconnect, hooks.OnAudit
	return []Description{
		{FieldClient, "client", Text, in(Read, ofClients...), "The session's identifier."},
		{FieldUser, "user", Text, and(in(Read, ofClients...), both, connect, audit), "Who it is; empty when anonymous."},
		{FieldInfo, "info", JSON, and(in(Read, ofClients...), both, connect, refresh, subscribe),
			"What others see about the connection; written in subscribe, what they see in this channel."},
		{FieldName, "name", Text, in(Read, ofClients...), "What the client calls itself."},
		{FieldVersion, "version", Text, in(Read, ofClients...), "The version it says it has."},
		{FieldRemoteAddr, "remote_addr", Text, and(in(Read, ofClients...), both, audit), "Its IP address."},
		{FieldTransport, "transport", Text, in(Read, ofClients...), "How it is connected: websocket."},
		{FieldProtocol, "protocol", Text, in(Read, ofClients...), "What it speaks: json or protobuf."},
		{FieldUserAgent, "user_agent", Text, in(Read, ofClients...), "The browser's or library's name."},
		{FieldHeader, "header", Text, in(both, ofClients...),
			"A header of the handshake request: write its name, then read its value, which is empty when there is none."},
		{FieldConfig, "config", JSON, in(Read, Everywhere),
			"The plugin's configuration, an object. It can be read at any time, in _initialize too."},
		{FieldChannel, "channel", Text, in(Read, refresh, subscribe, channel, publish, unsubscribe, audit),
			"The channel; absent when a session is refreshed."},
		{FieldData, "data", Bytes, and(in(Read, rpc, send), both, connect, subscribe, publish),
			"What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what " +
				"goes out."},
		{FieldToken, "token", Text, in(Read, connect, refresh),
			"The token the client brought; empty when it has none."},
		{FieldExpireAt, "expire_at", Int, in(both, connect, refresh, subscribe, publish),
			"Seconds since 1970; 0 is never. In publish: when the history stops showing the publication."},
		{FieldPresence, "presence", Flag, in(both, subscribe, channel),
			"Whether presence is kept; absent, which only subscribe knows: as the channel's options say."},
		{FieldJoinLeave, "join_leave", Flag, in(both, subscribe, channel),
			"Whether others are told of comings and goings; absent: the same."},
		{FieldRecovery, "recovery", Flag, in(both, subscribe, channel),
			"Whether missed publications can be recovered; absent: the same."},
		{FieldID, "id", Text, in(Read, publish), "The message's identifier, as in the audit."},
		{FieldTags, "tags", JSON, in(both, publish, audit), "Its tags, an object of strings. Written as a whole."},
		{FieldRedirect, "redirect", Text, in(both, publish), "The channel it goes to instead; absent when it stays."},
		{FieldSkipHistory, "skip_history", Bool, in(both, publish), "Deliver it, but do not keep it."},
		{FieldExcludeSender, "exclude_sender", Flag, in(both, publish, channel),
			"Whether the publisher gets no copy; absent in publish: as the channel's options say."},
		{FieldMethod, "method", Text, in(Read, rpc), "The method that is called."},
		{FieldReply, "reply", Bytes, in(both, rpc),
			"The answer to the call, JSON for clients that speak it; absent until it is written."},
		{FieldSubscription, "subscription", JSON, in(Write, connect),
			`Each write subscribes the client to one channel: {"channel": "news"}, and optionally info, data, expire_at, presence, ` +
				`join_leave, recovery.`},
		{FieldGrant, "grant", JSON, in(Write, connect, subscribe),
			`Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for ` +
				`this channel: {"allow": ["pub"]}.`},
		{FieldNamespace, "namespace", Text, in(Read, channel), "The channel's namespace."},
		{FieldSubscribe, "subscribe", Text, in(both, channel), "Who may subscribe: nobody, granted, user or anyone."},
		{FieldPublish, "publish", Text, in(both, channel), "Who may publish: the same."},
		{FieldHistorySize, "history_size", Int, in(both, channel), "How many publications are kept; 0: none."},
		{FieldHistoryTTL, "history_ttl", Int, in(both, channel), "For how many milliseconds they are kept."},
		{FieldSlowConsumer, "slow_consumer", Text, in(both, channel),
			"What happens to slow clients: disconnect, drop_oldest or conflate."},
		{FieldCode, "code", Int, in(Read, unsubscribe, disconnect),
			"Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended."},
		{FieldReason, "reason", Text, and(in(Read, unsubscribe, disconnect), both, audit), "Why, as a sentence."},
		{FieldKind, "kind", Text, in(Read, audit), "What is about to be stored: message, session, decision or action."},
		{FieldHook, "hook", Text, in(Read, audit), "The hook of a decision."},
		{FieldAction, "action", Text, in(Read, audit), "What was done, of an action."},
		{FieldPayload, "payload", Bytes, in(both, audit),
			"The data of a message, or the request of an action; absent when it is not kept."},
	}
}
