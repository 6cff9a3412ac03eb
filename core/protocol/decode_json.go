package protocol

// The commands in their JSON form. Unknown members are skipped, so that newer clients are understood; null stands for an absent
// value, except in the fields that carry raw JSON, where it is a value; of members with the same name the last one wins.

// object reads an object into a new message, member by member. For null it returns nil.
func object[M any](s *scanner, member func(s *scanner, m *M, key []byte)) *M {
	if s.null() {
		return nil
	}
	m := new(M)
	for more := s.open('{'); more; more = s.more('{') {
		member(s, m, s.key())
	}
	return m
}

// entries reads an object whose member names are data. A null is no entry.
func entries[V any](s *scanner, value func(s *scanner) V) map[string]V {
	if s.null() {
		return nil
	}
	m := map[string]V{}
	for more := s.open('{'); more; more = s.more('{') {
		key := string(s.key())
		if s.null() {
			delete(m, key)
			continue
		}
		m[key] = value(s)
	}
	return m
}

// list reads an array. A null is no element.
func list[V any](s *scanner, value func(s *scanner) V) []V {
	if s.null() {
		return nil
	}
	var all []V
	for more := s.open('['); more; more = s.more('[') {
		if !s.null() {
			all = append(all, value(s))
		}
	}
	return all
}

func (s *scanner) command(m *Command) {
	for more := s.open('{'); more; more = s.more('{') {
		switch string(s.key()) {
		case "id":
			m.Id = uint32(s.unsigned(32))
		case "connect":
			m.Connect = object(s, connectMember)
		case "subscribe":
			m.Subscribe = object(s, subscribeMember)
		case "unsubscribe":
			m.Unsubscribe = object(s, unsubscribeMember)
		case "publish":
			m.Publish = object(s, publishMember)
		case "presence":
			m.Presence = object(s, presenceMember)
		case "presence_stats":
			m.PresenceStats = object(s, presenceStatsMember)
		case "history":
			m.History = object(s, historyMember)
		case "ping":
			m.Ping = object(s, pingMember)
		case "send":
			m.Send = object(s, sendMember)
		case "rpc":
			m.Rpc = object(s, rpcMember)
		case "refresh":
			m.Refresh = object(s, refreshMember)
		case "sub_refresh":
			m.SubRefresh = object(s, subRefreshMember)
		default:
			s.skip()
		}
	}
}

func connectMember(s *scanner, m *ConnectRequest, key []byte) {
	switch string(key) {
	case "token":
		m.Token = s.text()
	case "data":
		m.Data = s.raw()
	case "subs":
		m.Subs = entries(s, func(s *scanner) *SubscribeRequest { return object(s, subscribeMember) })
	case "name":
		m.Name = s.text()
	case "version":
		m.Version = s.text()
	case "headers":
		m.Headers = entries(s, (*scanner).text)
	default:
		s.skip()
	}
}

func subscribeMember(s *scanner, m *SubscribeRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	case "token":
		m.Token = s.text()
	case "recover":
		m.Recover = s.boolean()
	case "epoch":
		m.Epoch = s.text()
	case "offset":
		m.Offset = s.unsigned(64)
	case "data":
		m.Data = s.raw()
	case "positioned":
		m.Positioned = s.boolean()
	case "recoverable":
		m.Recoverable = s.boolean()
	case "join_leave":
		m.JoinLeave = s.boolean()
	case "delta":
		m.Delta = s.text()
	case "tf":
		m.Tf = filterNode(s)
	case "flag":
		m.Flag = s.signed(64)
	default:
		s.skip()
	}
}

func filterNode(s *scanner) *FilterNode {
	if s.filter++; s.filter > maxFilterDepth {
		s.fail("a tag filter nested too deeply")
		return nil
	}
	m := object(s, filterMember)
	s.filter--
	return m
}

func filterMember(s *scanner, m *FilterNode, key []byte) {
	switch string(key) {
	case "op":
		m.Op = s.text()
	case "key":
		m.Key = s.text()
	case "cmp":
		m.Cmp = s.text()
	case "val":
		m.Val = s.text()
	case "vals":
		m.Vals = list(s, (*scanner).text)
	case "nodes":
		m.Nodes = list(s, filterNode)
	default:
		s.skip()
	}
}

func unsubscribeMember(s *scanner, m *UnsubscribeRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	default:
		s.skip()
	}
}

func publishMember(s *scanner, m *PublishRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	case "data":
		m.Data = s.raw()
	default:
		s.skip()
	}
}

func presenceMember(s *scanner, m *PresenceRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	default:
		s.skip()
	}
}

func presenceStatsMember(s *scanner, m *PresenceStatsRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	default:
		s.skip()
	}
}

func historyMember(s *scanner, m *HistoryRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	case "limit":
		m.Limit = int32(s.signed(32))
	case "since":
		m.Since = object(s, positionMember)
	case "reverse":
		m.Reverse = s.boolean()
	default:
		s.skip()
	}
}

func positionMember(s *scanner, m *StreamPosition, key []byte) {
	switch string(key) {
	case "offset":
		m.Offset = s.unsigned(64)
	case "epoch":
		m.Epoch = s.text()
	default:
		s.skip()
	}
}

func pingMember(s *scanner, _ *PingRequest, _ []byte) { s.skip() }

func sendMember(s *scanner, m *SendRequest, key []byte) {
	switch string(key) {
	case "data":
		m.Data = s.raw()
	default:
		s.skip()
	}
}

func rpcMember(s *scanner, m *RPCRequest, key []byte) {
	switch string(key) {
	case "data":
		m.Data = s.raw()
	case "method":
		m.Method = s.text()
	default:
		s.skip()
	}
}

func refreshMember(s *scanner, m *RefreshRequest, key []byte) {
	switch string(key) {
	case "token":
		m.Token = s.text()
	default:
		s.skip()
	}
}

func subRefreshMember(s *scanner, m *SubRefreshRequest, key []byte) {
	switch string(key) {
	case "channel":
		m.Channel = s.text()
	case "token":
		m.Token = s.text()
	default:
		s.skip()
	}
}
