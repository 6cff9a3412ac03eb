package protocol

import "github.com/zenconn/server/core"

// FromPublication returns the message of a publication, as in history and subscribe replies. It shares p's slices and maps.
func FromPublication(p *core.Publication) *Publication {
	return &Publication{
		Data:   p.Data,
		Info:   FromClientInfo(p.Info),
		Offset: p.Offset,
		Tags:   p.Tags,
		Time:   p.Time,
	}
}

// ToPublication returns the publication a message of this channel stands for. It shares m's slices and maps. The message
// carries no ID, so the publication has none.
func ToPublication(channel string, m *Publication) *core.Publication {
	return &core.Publication{
		Channel: channel,
		Offset:  m.GetOffset(),
		Data:    m.GetData(),
		Info:    ToClientInfo(m.GetInfo()),
		Tags:    m.GetTags(),
		Time:    m.GetTime(),
	}
}

// FromClientInfo returns the message of a client's description, nil for nil. It shares info's slices.
func FromClientInfo(info *core.ClientInfo) *ClientInfo {
	if info == nil {
		return nil
	}
	return &ClientInfo{User: info.User, Client: info.Client, ConnInfo: info.ConnInfo, ChanInfo: info.ChanInfo}
}

// ToClientInfo returns the client a message describes, nil for nil. It shares m's slices.
func ToClientInfo(m *ClientInfo) *core.ClientInfo {
	if m == nil {
		return nil
	}
	return &core.ClientInfo{User: m.User, Client: m.Client, ConnInfo: m.ConnInfo, ChanInfo: m.ChanInfo}
}
