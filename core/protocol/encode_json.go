package protocol

// The replies in their JSON form. Members stand in the order of client.proto.

func appendJSONReply(dst []byte, m *Reply) []byte {
	dst = append(dst, '{')
	dst = appendUint(dst, "id", uint64(m.Id))
	if m.Error != nil {
		dst = appendError(appendKey(dst, "error"), m.Error)
	}
	if m.Push != nil {
		dst = appendPush(appendKey(dst, "push"), m.Push)
	}
	if m.Connect != nil {
		dst = appendConnectResult(appendKey(dst, "connect"), m.Connect)
	}
	if m.Subscribe != nil {
		dst = appendSubscribeResult(appendKey(dst, "subscribe"), m.Subscribe)
	}
	if m.Unsubscribe != nil {
		dst = append(appendKey(dst, "unsubscribe"), "{}"...)
	}
	if m.Publish != nil {
		dst = append(appendKey(dst, "publish"), "{}"...)
	}
	if m.Presence != nil {
		dst = appendPresenceResult(appendKey(dst, "presence"), m.Presence)
	}
	if m.PresenceStats != nil {
		dst = appendPresenceStatsResult(appendKey(dst, "presence_stats"), m.PresenceStats)
	}
	if m.History != nil {
		dst = appendHistoryResult(appendKey(dst, "history"), m.History)
	}
	if m.Ping != nil {
		dst = append(appendKey(dst, "ping"), "{}"...)
	}
	if m.Rpc != nil {
		dst = appendRPCResult(appendKey(dst, "rpc"), m.Rpc)
	}
	if m.Refresh != nil {
		dst = appendRefreshResult(appendKey(dst, "refresh"), m.Refresh)
	}
	if m.SubRefresh != nil {
		dst = appendSubRefreshResult(appendKey(dst, "sub_refresh"), m.SubRefresh)
	}
	return append(dst, '}')
}

func appendError(dst []byte, m *Error) []byte {
	dst = append(dst, '{')
	dst = appendUint(dst, "code", uint64(m.Code))
	dst = appendText(dst, "message", m.Message)
	dst = appendBool(dst, "temporary", m.Temporary)
	return append(dst, '}')
}

func appendConnectResult(dst []byte, m *ConnectResult) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "client", m.Client)
	dst = appendText(dst, "version", m.Version)
	dst = appendBool(dst, "expires", m.Expires)
	dst = appendUint(dst, "ttl", uint64(m.Ttl))
	dst = appendRaw(dst, "data", m.Data)
	if len(m.Subs) > 0 {
		dst = appendMap(appendKey(dst, "subs"), m.Subs, appendSubscribeResult)
	}
	dst = appendUint(dst, "ping", uint64(m.Ping))
	dst = appendBool(dst, "pong", m.Pong)
	dst = appendText(dst, "session", m.Session)
	dst = appendText(dst, "node", m.Node)
	dst = appendInt(dst, "time", m.Time)
	return append(dst, '}')
}

func appendSubscribeResult(dst []byte, m *SubscribeResult) []byte {
	dst = append(dst, '{')
	dst = appendBool(dst, "expires", m.Expires)
	dst = appendUint(dst, "ttl", uint64(m.Ttl))
	dst = appendBool(dst, "recoverable", m.Recoverable)
	dst = appendText(dst, "epoch", m.Epoch)
	if len(m.Publications) > 0 {
		dst = appendPublications(appendKey(dst, "publications"), m.Publications)
	}
	dst = appendBool(dst, "recovered", m.Recovered)
	dst = appendUint(dst, "offset", m.Offset)
	dst = appendBool(dst, "positioned", m.Positioned)
	dst = appendRaw(dst, "data", m.Data)
	dst = appendBool(dst, "was_recovering", m.WasRecovering)
	dst = appendBool(dst, "delta", m.Delta)
	dst = appendInt(dst, "id", m.Id)
	return append(dst, '}')
}

func appendPresenceResult(dst []byte, m *PresenceResult) []byte {
	dst = append(dst, '{')
	dst = appendMap(appendKey(dst, "presence"), m.Presence, appendClientInfo)
	return append(dst, '}')
}

func appendPresenceStatsResult(dst []byte, m *PresenceStatsResult) []byte {
	dst = append(dst, '{')
	dst = appendUintAlways(dst, "num_clients", uint64(m.NumClients))
	dst = appendUintAlways(dst, "num_users", uint64(m.NumUsers))
	return append(dst, '}')
}

func appendHistoryResult(dst []byte, m *HistoryResult) []byte {
	dst = append(dst, '{')
	dst = appendPublications(appendKey(dst, "publications"), m.Publications)
	dst = appendTextAlways(dst, "epoch", m.Epoch)
	dst = appendUintAlways(dst, "offset", m.Offset)
	return append(dst, '}')
}

func appendRPCResult(dst []byte, m *RPCResult) []byte {
	return append(appendRaw(append(dst, '{'), "data", m.Data), '}')
}

func appendRefreshResult(dst []byte, m *RefreshResult) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "client", m.Client)
	dst = appendText(dst, "version", m.Version)
	dst = appendBool(dst, "expires", m.Expires)
	dst = appendUint(dst, "ttl", uint64(m.Ttl))
	return append(dst, '}')
}

func appendSubRefreshResult(dst []byte, m *SubRefreshResult) []byte {
	dst = append(dst, '{')
	dst = appendBool(dst, "expires", m.Expires)
	dst = appendUint(dst, "ttl", uint64(m.Ttl))
	return append(dst, '}')
}

func appendPublications(dst []byte, all []*Publication) []byte {
	dst = append(dst, '[')
	for i, m := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPublication(dst, m)
	}
	return append(dst, ']')
}

func appendPublication(dst []byte, m *Publication) []byte {
	dst = append(dst, '{')
	dst = appendRaw(dst, "data", m.Data)
	if m.Info != nil {
		dst = appendClientInfo(appendKey(dst, "info"), m.Info)
	}
	dst = appendUint(dst, "offset", m.Offset)
	if len(m.Tags) > 0 {
		dst = appendMap(appendKey(dst, "tags"), m.Tags, appendString)
	}
	dst = appendBool(dst, "delta", m.Delta)
	dst = appendInt(dst, "time", m.Time)
	dst = appendText(dst, "channel", m.Channel)
	return append(dst, '}')
}

func appendClientInfo(dst []byte, m *ClientInfo) []byte {
	dst = append(dst, '{')
	dst = appendTextAlways(dst, "user", m.User)
	dst = appendTextAlways(dst, "client", m.Client)
	dst = appendRaw(dst, "conn_info", m.ConnInfo)
	dst = appendRaw(dst, "chan_info", m.ChanInfo)
	return append(dst, '}')
}
