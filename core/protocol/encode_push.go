package protocol

// The pushes in their JSON form.

func appendPush(dst []byte, m *Push) []byte {
	dst = append(dst, '{')
	dst = appendInt(dst, "id", m.Id)
	dst = appendText(dst, "channel", m.Channel)
	if m.Pub != nil {
		dst = appendPublication(appendKey(dst, "pub"), m.Pub)
	}
	if m.Join != nil {
		dst = appendInfoPush(appendKey(dst, "join"), m.Join.Info)
	}
	if m.Leave != nil {
		dst = appendInfoPush(appendKey(dst, "leave"), m.Leave.Info)
	}
	if m.Unsubscribe != nil {
		dst = appendUnsubscribePush(appendKey(dst, "unsubscribe"), m.Unsubscribe)
	}
	if m.Message != nil {
		dst = append(appendRaw(append(appendKey(dst, "message"), '{'), "data", m.Message.Data), '}')
	}
	if m.Subscribe != nil {
		dst = appendSubscribePush(appendKey(dst, "subscribe"), m.Subscribe)
	}
	if m.Connect != nil {
		dst = appendConnectPush(appendKey(dst, "connect"), m.Connect)
	}
	if m.Disconnect != nil {
		dst = appendDisconnectPush(appendKey(dst, "disconnect"), m.Disconnect)
	}
	if m.Refresh != nil {
		dst = append(appendKey(dst, "refresh"), '{')
		dst = appendBool(dst, "expires", m.Refresh.Expires)
		dst = append(appendUint(dst, "ttl", uint64(m.Refresh.Ttl)), '}')
	}
	return append(dst, '}')
}

// appendInfoPush appends a join or a leave.
func appendInfoPush(dst []byte, info *ClientInfo) []byte {
	dst = append(dst, '{')
	if info != nil {
		dst = appendClientInfo(appendKey(dst, "info"), info)
	}
	return append(dst, '}')
}

func appendUnsubscribePush(dst []byte, m *Unsubscribe) []byte {
	dst = append(dst, '{')
	dst = appendUint(dst, "code", uint64(m.Code))
	dst = appendText(dst, "reason", m.Reason)
	return append(dst, '}')
}

func appendSubscribePush(dst []byte, m *Subscribe) []byte {
	dst = append(dst, '{')
	dst = appendBool(dst, "recoverable", m.Recoverable)
	dst = appendText(dst, "epoch", m.Epoch)
	dst = appendUint(dst, "offset", m.Offset)
	dst = appendBool(dst, "positioned", m.Positioned)
	dst = appendRaw(dst, "data", m.Data)
	return append(dst, '}')
}

func appendConnectPush(dst []byte, m *Connect) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "client", m.Client)
	dst = appendText(dst, "version", m.Version)
	dst = appendRaw(dst, "data", m.Data)
	if len(m.Subs) > 0 {
		dst = appendMap(appendKey(dst, "subs"), m.Subs, appendSubscribeResult)
	}
	dst = appendBool(dst, "expires", m.Expires)
	dst = appendUint(dst, "ttl", uint64(m.Ttl))
	dst = appendUint(dst, "ping", uint64(m.Ping))
	dst = appendBool(dst, "pong", m.Pong)
	dst = appendText(dst, "session", m.Session)
	dst = appendText(dst, "node", m.Node)
	dst = appendInt(dst, "time", m.Time)
	return append(dst, '}')
}

func appendDisconnectPush(dst []byte, m *Disconnect) []byte {
	dst = append(dst, '{')
	dst = appendUint(dst, "code", uint64(m.Code))
	dst = appendText(dst, "reason", m.Reason)
	dst = appendBool(dst, "reconnect", m.Reconnect)
	return append(dst, '}')
}
