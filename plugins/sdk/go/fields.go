// Code generated from hooks/host; DO NOT EDIT.

//go:build wasip1

package hook

// The verdicts.
const (
	Allow Verdict = 0 // Yes; the next plugin is asked.
	Deny  Verdict = 1 // No; nobody else is asked.
	Drop  Verdict = 2 // In on_publish: acknowledge, and deliver to nobody. In on_audit: do not store.
	Pass  Verdict = 3 // No opinion; the next plugin is asked.
)

const (
	fieldClient        int32 = 1
	fieldUser          int32 = 2
	fieldInfo          int32 = 3
	fieldName          int32 = 4
	fieldVersion       int32 = 5
	fieldRemoteAddr    int32 = 6
	fieldTransport     int32 = 7
	fieldProtocol      int32 = 8
	fieldUserAgent     int32 = 9
	fieldHeader        int32 = 10
	fieldConfig        int32 = 11
	fieldChannel       int32 = 12
	fieldData          int32 = 13
	fieldToken         int32 = 14
	fieldExpireAt      int32 = 15
	fieldPresence      int32 = 16
	fieldJoinLeave     int32 = 17
	fieldRecovery      int32 = 18
	fieldID            int32 = 19
	fieldTags          int32 = 20
	fieldRedirect      int32 = 21
	fieldSkipHistory   int32 = 22
	fieldExcludeSender int32 = 23
	fieldMethod        int32 = 24
	fieldReply         int32 = 25
	fieldSubscription  int32 = 26
	fieldGrant         int32 = 27
	fieldNamespace     int32 = 28
	fieldSubscribe     int32 = 29
	fieldPublish       int32 = 30
	fieldHistorySize   int32 = 31
	fieldHistoryTTL    int32 = 32
	fieldSlowConsumer  int32 = 33
	fieldCode          int32 = 34
	fieldReason        int32 = 35
	fieldKind          int32 = 36
	fieldHook          int32 = 37
	fieldAction        int32 = 38
	fieldPayload       int32 = 39
)

func nameOf(field int32) string {
	switch field {
	case fieldClient:
		return "client"
	case fieldUser:
		return "user"
	case fieldInfo:
		return "info"
	case fieldName:
		return "name"
	case fieldVersion:
		return "version"
	case fieldRemoteAddr:
		return "remote_addr"
	case fieldTransport:
		return "transport"
	case fieldProtocol:
		return "protocol"
	case fieldUserAgent:
		return "user_agent"
	case fieldHeader:
		return "header"
	case fieldConfig:
		return "config"
	case fieldChannel:
		return "channel"
	case fieldData:
		return "data"
	case fieldToken:
		return "token"
	case fieldExpireAt:
		return "expire_at"
	case fieldPresence:
		return "presence"
	case fieldJoinLeave:
		return "join_leave"
	case fieldRecovery:
		return "recovery"
	case fieldID:
		return "id"
	case fieldTags:
		return "tags"
	case fieldRedirect:
		return "redirect"
	case fieldSkipHistory:
		return "skip_history"
	case fieldExcludeSender:
		return "exclude_sender"
	case fieldMethod:
		return "method"
	case fieldReply:
		return "reply"
	case fieldSubscription:
		return "subscription"
	case fieldGrant:
		return "grant"
	case fieldNamespace:
		return "namespace"
	case fieldSubscribe:
		return "subscribe"
	case fieldPublish:
		return "publish"
	case fieldHistorySize:
		return "history_size"
	case fieldHistoryTTL:
		return "history_ttl"
	case fieldSlowConsumer:
		return "slow_consumer"
	case fieldCode:
		return "code"
	case fieldReason:
		return "reason"
	case fieldKind:
		return "kind"
	case fieldHook:
		return "hook"
	case fieldAction:
		return "action"
	case fieldPayload:
		return "payload"
	}
	return ""
}
