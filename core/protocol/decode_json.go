package protocol

// The commands in their JSON form. Unknown members are skipped, so that newer clients are understood; null stands for an absent
// value, except in the fields that carry raw JSON, where it is a value; of members with the same name the last one wins.

// members iterates over the names of an object's members. The body has to read the value of each.
func (s *scanner) members(yield func(name []byte) bool) {
	for more := s.open('{'); more; more = s.more('{') {
		if !yield(s.key()) {
			return
		}
	}
}

// elements iterates over an array. The body has to read each element.
func (s *scanner) elements(yield func() bool) {
	for more := s.open('['); more; more = s.more('[') {
		if !yield() {
			return
		}
	}
}

func (s *scanner) command(m *Command) {
	for name := range s.members {
		switch string(name) {
		case "id":
			m.Id = uint32(s.unsigned(32))
		case "connect":
			m.Connect = s.connect()
		case "subscribe":
			m.Subscribe = s.subscribe()
		case "unsubscribe":
			m.Unsubscribe = s.unsubscribe()
		case "publish":
			m.Publish = s.publish()
		case "presence":
			m.Presence = s.presence()
		case "presence_stats":
			m.PresenceStats = s.presenceStats()
		case "history":
			m.History = s.history()
		case "ping":
			m.Ping = s.ping()
		case "send":
			m.Send = s.send()
		case "rpc":
			m.Rpc = s.rpc()
		case "refresh":
			m.Refresh = s.refresh()
		case "sub_refresh":
			m.SubRefresh = s.subRefresh()
		default:
			s.skip()
		}
	}
}

func (s *scanner) connect() *ConnectRequest {
	if s.null() {
		return nil
	}
	m := new(ConnectRequest)
	for name := range s.members {
		switch string(name) {
		case "token":
			m.Token = s.text()
		case "data":
			m.Data = s.raw()
		case "subs":
			m.Subs = s.subscriptions()
		case "name":
			m.Name = s.text()
		case "version":
			m.Version = s.text()
		case "headers":
			m.Headers = s.headers()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) subscriptions() map[string]*SubscribeRequest {
	if s.null() {
		return nil
	}
	all := map[string]*SubscribeRequest{}
	for name := range s.members {
		channel := string(name)
		if one := s.subscribe(); one != nil {
			all[channel] = one
		} else {
			delete(all, channel)
		}
	}
	return all
}

func (s *scanner) headers() map[string]string {
	if s.null() {
		return nil
	}
	all := map[string]string{}
	for name := range s.members {
		header := string(name)
		if s.null() {
			delete(all, header)
		} else {
			all[header] = s.text()
		}
	}
	return all
}

func (s *scanner) subscribe() *SubscribeRequest {
	if s.null() {
		return nil
	}
	m := new(SubscribeRequest)
	for name := range s.members {
		switch string(name) {
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
			m.Tf = s.filter()
		case "flag":
			m.Flag = s.signed(64)
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) filter() *FilterNode {
	if s.null() {
		return nil
	}
	if s.filterDepth++; s.filterDepth > maxFilterDepth {
		s.fail("a tag filter nested too deeply")
		return nil
	}
	m := new(FilterNode)
	for name := range s.members {
		switch string(name) {
		case "op":
			m.Op = s.text()
		case "key":
			m.Key = s.text()
		case "cmp":
			m.Cmp = s.text()
		case "val":
			m.Val = s.text()
		case "vals":
			m.Vals = s.texts()
		case "nodes":
			m.Nodes = s.filters()
		default:
			s.skip()
		}
	}
	s.filterDepth--
	return m
}

// filters leaves out nulls, as texts does.
func (s *scanner) filters() []*FilterNode {
	if s.null() {
		return nil
	}
	var all []*FilterNode
	for range s.elements {
		if !s.null() {
			all = append(all, s.filter())
		}
	}
	return all
}

func (s *scanner) texts() []string {
	if s.null() {
		return nil
	}
	var all []string
	for range s.elements {
		if !s.null() {
			all = append(all, s.text())
		}
	}
	return all
}

func (s *scanner) unsubscribe() *UnsubscribeRequest {
	if s.null() {
		return nil
	}
	m := new(UnsubscribeRequest)
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) publish() *PublishRequest {
	if s.null() {
		return nil
	}
	m := s.publication
	m.Reset()
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		case "data":
			m.Data = s.raw()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) presence() *PresenceRequest {
	if s.null() {
		return nil
	}
	m := new(PresenceRequest)
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) presenceStats() *PresenceStatsRequest {
	if s.null() {
		return nil
	}
	m := new(PresenceStatsRequest)
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) history() *HistoryRequest {
	if s.null() {
		return nil
	}
	m := new(HistoryRequest)
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		case "limit":
			m.Limit = int32(s.signed(32))
		case "since":
			m.Since = s.position()
		case "reverse":
			m.Reverse = s.boolean()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) position() *StreamPosition {
	if s.null() {
		return nil
	}
	m := new(StreamPosition)
	for name := range s.members {
		switch string(name) {
		case "offset":
			m.Offset = s.unsigned(64)
		case "epoch":
			m.Epoch = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) ping() *PingRequest {
	if s.null() {
		return nil
	}
	for range s.members {
		s.skip()
	}
	return new(PingRequest)
}

func (s *scanner) send() *SendRequest {
	if s.null() {
		return nil
	}
	m := new(SendRequest)
	for name := range s.members {
		switch string(name) {
		case "data":
			m.Data = s.raw()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) rpc() *RPCRequest {
	if s.null() {
		return nil
	}
	m := new(RPCRequest)
	for name := range s.members {
		switch string(name) {
		case "data":
			m.Data = s.raw()
		case "method":
			m.Method = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) refresh() *RefreshRequest {
	if s.null() {
		return nil
	}
	m := new(RefreshRequest)
	for name := range s.members {
		switch string(name) {
		case "token":
			m.Token = s.text()
		default:
			s.skip()
		}
	}
	return m
}

func (s *scanner) subRefresh() *SubRefreshRequest {
	if s.null() {
		return nil
	}
	m := new(SubRefreshRequest)
	for name := range s.members {
		switch string(name) {
		case "channel":
			m.Channel = s.text()
		case "token":
			m.Token = s.text()
		default:
			s.skip()
		}
	}
	return m
}
