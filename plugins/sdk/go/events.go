//go:build wasip1

package hook

// Client is what every event of a client knows about its connection.
type Client struct{}

// ID is the session's identifier.
func (Client) ID() string { return readString(fieldClient) }

// User is who it is; empty when anonymous.
func (Client) User() string { return readString(fieldUser) }

// Info is what others see about the connection, JSON, or nil.
func (Client) Info() []byte { return readBytes(fieldInfo) }

// Name is what the client calls itself.
func (Client) Name() string { return readString(fieldName) }

// Version is the version it says it has.
func (Client) Version() string { return readString(fieldVersion) }

// RemoteAddr is its IP address.
func (Client) RemoteAddr() string { return readString(fieldRemoteAddr) }

// Transport is how it is connected: "websocket".
func (Client) Transport() string { return readString(fieldTransport) }

// Protocol is what it speaks: "json" or "protobuf".
func (Client) Protocol() string { return readString(fieldProtocol) }

// UserAgent is the browser's or library's name.
func (Client) UserAgent() string { return readString(fieldUserAgent) }

// Header is a header of the handshake request; empty when there is none.
func (Client) Header(name string) string {
	writeString(fieldHeader, name)
	return readString(fieldHeader)
}

// Subscription is a channel that a client is subscribed to when it connects. What is zero is left to the channel's options.
type Subscription struct {
	Channel   string `json:"channel"`
	Info      any    `json:"info,omitempty"`      // What others see in the channel.
	Data      any    `json:"data,omitempty"`      // What the client gets.
	ExpireAt  int64  `json:"expire_at,omitempty"` // Seconds since 1970; 0: never.
	Presence  *bool  `json:"presence,omitempty"`
	JoinLeave *bool  `json:"join_leave,omitempty"`
	Recovery  *bool  `json:"recovery,omitempty"`
}

// Grant gives rights for the whole session.
type Grant struct {
	Channels []string `json:"channels"`
	Match    string   `json:"match,omitempty"` // "": exact names, "wildcard" or "regex".
	Allow    []string `json:"allow"`           // Of "sub", "pub", "prs" (presence), "hst" (history), "brd" (broadcast).
}

// Connect is the event of on_connect: may this client connect, and who is it?
type Connect struct{ Client }

// Token is what the client brought; empty when it has none.
func (Connect) Token() string { return readString(fieldToken) }

// Data is what the client sent, or nil; after SetData, what was set.
func (Connect) Data() []byte { return readBytes(fieldData) }

// ExpireAt is when the session ends, in seconds since 1970; 0: never.
func (Connect) ExpireAt() int64 { return readInt(fieldExpireAt) }

// SetUser says who it is.
func (Connect) SetUser(user string) { writeString(fieldUser, user) }

// SetInfo sets what others see about the connection: JSON, or nil.
func (Connect) SetInfo(info []byte) { write(fieldInfo, info) }

// SetData sets what the client gets with the reply: JSON, or nil.
func (Connect) SetData(data []byte) { write(fieldData, data) }

// SetExpireAt sets when the session ends.
func (Connect) SetExpireAt(seconds int64) { writeInt(fieldExpireAt, seconds) }

// Subscribe subscribes the client to a channel, from the server's side.
func (Connect) Subscribe(s Subscription) { writeJSON(fieldSubscription, s) }

// Grant gives rights for the whole session.
func (Connect) Grant(g Grant) { writeJSON(fieldGrant, g) }

// Refresh is the event of on_refresh: may this session, or one of its subscriptions, live longer?
type Refresh struct{ Client }

// Channel is the subscription; empty: the session.
func (Refresh) Channel() string { return readString(fieldChannel) }

// Token is what the client brought.
func (Refresh) Token() string { return readString(fieldToken) }

// ExpireAt is until when, in seconds since 1970; 0: for ever.
func (Refresh) ExpireAt() int64 { return readInt(fieldExpireAt) }

// SetExpireAt sets until when.
func (Refresh) SetExpireAt(seconds int64) { writeInt(fieldExpireAt, seconds) }

// SetInfo sets what others see from now on: JSON.
func (Refresh) SetInfo(info []byte) { write(fieldInfo, info) }

// Subscribe is the event of on_subscribe: may this client join the channel?
type Subscribe struct{ Client }

// Channel is the channel.
func (Subscribe) Channel() string { return readString(fieldChannel) }

// Data is what the client sent, or nil; after SetData, what was set.
func (Subscribe) Data() []byte { return readBytes(fieldData) }

// ExpireAt is when the subscription ends, in seconds since 1970; 0: never.
func (Subscribe) ExpireAt() int64 { return readInt(fieldExpireAt) }

// Presence is whether presence is kept; nil: as the channel's options say.
func (Subscribe) Presence() *bool { return readFlag(fieldPresence) }

// JoinLeave is whether others are told; nil: as the channel's options say.
func (Subscribe) JoinLeave() *bool { return readFlag(fieldJoinLeave) }

// Recovery is whether missed publications can be recovered; nil: as the channel's options say.
func (Subscribe) Recovery() *bool { return readFlag(fieldRecovery) }

// SetInfo sets what others see in this channel: JSON, or nil.
func (Subscribe) SetInfo(info []byte) { write(fieldInfo, info) }

// SetData sets what the client gets with the reply: JSON, or nil.
func (Subscribe) SetData(data []byte) { write(fieldData, data) }

// SetExpireAt sets when the subscription ends.
func (Subscribe) SetExpireAt(seconds int64) { writeInt(fieldExpireAt, seconds) }

// SetPresence overrides the channel's option.
func (Subscribe) SetPresence(v bool) { writeBool(fieldPresence, v) }

// SetJoinLeave overrides the channel's option.
func (Subscribe) SetJoinLeave(v bool) { writeBool(fieldJoinLeave, v) }

// SetRecovery overrides the channel's option.
func (Subscribe) SetRecovery(v bool) { writeBool(fieldRecovery, v) }

// Grant gives rights in this channel, as in Grant("pub", "hst").
func (Subscribe) Grant(allow ...string) { writeJSON(fieldGrant, map[string][]string{"allow": allow}) }

// Channel is the event of on_channel: which options has a channel of this name?
type Channel struct{}

// Channel is its name.
func (Channel) Channel() string { return readString(fieldChannel) }

// Namespace is its namespace, whose options it begins with.
func (Channel) Namespace() string { return readString(fieldNamespace) }

// Subscribe is who may subscribe: "nobody", "granted", "user" or "anyone".
func (Channel) Subscribe() string { return readString(fieldSubscribe) }

// Publish is who may publish: the same.
func (Channel) Publish() string { return readString(fieldPublish) }

// Presence is whether presence is kept.
func (Channel) Presence() bool { return readBool(fieldPresence) }

// JoinLeave is whether subscribers are told who comes and goes.
func (Channel) JoinLeave() bool { return readBool(fieldJoinLeave) }

// HistorySize is how many publications are kept.
func (Channel) HistorySize() int { return int(readInt(fieldHistorySize)) }

// HistoryTTL is for how many milliseconds they are kept.
func (Channel) HistoryTTL() int64 { return readInt(fieldHistoryTTL) }

// Recovery is whether missed publications can be recovered.
func (Channel) Recovery() bool { return readBool(fieldRecovery) }

// ExcludeSender is whether publishers get no copy.
func (Channel) ExcludeSender() bool { return readBool(fieldExcludeSender) }

// SlowConsumer is what happens to slow clients: "disconnect", "drop_oldest" or "conflate".
func (Channel) SlowConsumer() string { return readString(fieldSlowConsumer) }

// SetSubscribe sets who may subscribe.
func (Channel) SetSubscribe(rule string) { writeString(fieldSubscribe, rule) }

// SetPublish sets who may publish.
func (Channel) SetPublish(rule string) { writeString(fieldPublish, rule) }

// SetPresence sets whether presence is kept.
func (Channel) SetPresence(v bool) { writeBool(fieldPresence, v) }

// SetJoinLeave sets whether subscribers are told who comes and goes.
func (Channel) SetJoinLeave(v bool) { writeBool(fieldJoinLeave, v) }

// SetHistory sets how many publications are kept, and for how many milliseconds.
func (Channel) SetHistory(size int, ttl int64) {
	writeInt(fieldHistorySize, int64(size))
	writeInt(fieldHistoryTTL, ttl)
}

// SetRecovery sets whether missed publications can be recovered.
func (Channel) SetRecovery(v bool) { writeBool(fieldRecovery, v) }

// SetExcludeSender sets whether publishers get no copy.
func (Channel) SetExcludeSender(v bool) { writeBool(fieldExcludeSender, v) }

// SetSlowConsumer sets what happens to slow clients.
func (Channel) SetSlowConsumer(policy string) { writeString(fieldSlowConsumer, policy) }

// Publish is the event of on_publish: may this go out, and what does it say?
type Publish struct{ Client }

// Channel is the channel.
func (Publish) Channel() string { return readString(fieldChannel) }

// Data is what was published.
func (Publish) Data() []byte { return readBytes(fieldData) }

// MessageID is the message's identifier, as in the audit.
func (Publish) MessageID() string { return readString(fieldID) }

// Tags are the message's tags.
func (Publish) Tags() map[string]string { return readTags() }

// SetData sets what goes out.
func (Publish) SetData(data []byte) { write(fieldData, data) }

// SetTags replaces the tags.
func (Publish) SetTags(tags map[string]string) { writeJSON(fieldTags, tags) }

// Redirect lets it go out in another channel.
func (Publish) Redirect(channel string) { writeString(fieldRedirect, channel) }

// SetExpireAt sets when the history stops showing it, in seconds since 1970.
func (Publish) SetExpireAt(seconds int64) { writeInt(fieldExpireAt, seconds) }

// SetSkipHistory sets whether it is delivered but not kept.
func (Publish) SetSkipHistory(v bool) { writeBool(fieldSkipHistory, v) }

// SetExcludeSender sets whether the publisher gets no copy.
func (Publish) SetExcludeSender(v bool) { writeBool(fieldExcludeSender, v) }

// RPC is the event of on_rpc: what is the answer to this call?
type RPC struct{ Client }

// Method is the method that is called.
func (RPC) Method() string { return readString(fieldMethod) }

// Data is what the client sent, or nil.
func (RPC) Data() []byte { return readBytes(fieldData) }

// Reply answers, JSON for clients that speak it: return ev.Reply(answer).
func (RPC) Reply(data []byte) Verdict {
	write(fieldReply, data)
	return Allow
}

// Send is the event of on_send: a message that expects no answer.
type Send struct{ Client }

// Data is what the client sent.
func (Send) Data() []byte { return readBytes(fieldData) }

// Unsubscribe is the event of on_unsubscribe: a client has left a channel.
type Unsubscribe struct{ Client }

// Channel is the channel.
func (Unsubscribe) Channel() string { return readString(fieldChannel) }

// Code is why: 0, it asked for it; 1, the session ended; from 2000 on, what the client was told.
func (Unsubscribe) Code() int { return int(readInt(fieldCode)) }

// Reason is why, as a sentence.
func (Unsubscribe) Reason() string { return readString(fieldReason) }

// Disconnect is the event of on_disconnect: a session has ended.
type Disconnect struct{ Client }

// Code is why.
func (Disconnect) Code() int { return int(readInt(fieldCode)) }

// Reason is why, as a sentence.
func (Disconnect) Reason() string { return readString(fieldReason) }

// Audit is the event of on_audit: what is about to be stored.
type Audit struct{}

// Kind is "message", "session", "decision" or "action".
func (Audit) Kind() string { return readString(fieldKind) }

// Channel is the channel of messages and decisions.
func (Audit) Channel() string { return readString(fieldChannel) }

// Hook is the hook of decisions.
func (Audit) Hook() string { return readString(fieldHook) }

// Action is what was done, of actions.
func (Audit) Action() string { return readString(fieldAction) }

// User is who acted.
func (Audit) User() string { return readString(fieldUser) }

// Payload is the data of a message, or the request of an action; nil when it is not kept.
func (Audit) Payload() []byte { return readBytes(fieldPayload) }

// Tags are the message's tags.
func (Audit) Tags() map[string]string { return readTags() }

// RemoteAddr is an IP address, or empty.
func (Audit) RemoteAddr() string { return readString(fieldRemoteAddr) }

// Reason is why, of decisions, sessions and actions.
func (Audit) Reason() string { return readString(fieldReason) }

// SetUser replaces the user.
func (Audit) SetUser(user string) { writeString(fieldUser, user) }

// SetPayload replaces the payload; nil leaves it out.
func (Audit) SetPayload(payload []byte) { write(fieldPayload, payload) }

// SetTags replaces the tags.
func (Audit) SetTags(tags map[string]string) { writeJSON(fieldTags, tags) }

// SetRemoteAddr replaces the address, by another or by nothing.
func (Audit) SetRemoteAddr(addr string) { writeString(fieldRemoteAddr, addr) }

// SetReason replaces the reason.
func (Audit) SetReason(reason string) { writeString(fieldReason, reason) }
