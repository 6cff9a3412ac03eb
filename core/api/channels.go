package api

import (
	"context"
	"encoding/json"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

type presenceRequest struct {
	Channel string `json:"channel"`
}

type presenceResult struct {
	Presence map[string]clientInfo `json:"presence"` // By client ID.
}

type clientInfo struct {
	User     string          `json:"user"`
	Client   string          `json:"client"`
	ConnInfo json.RawMessage `json:"conn_info,omitempty"`
	ChanInfo json.RawMessage `json:"chan_info,omitempty"`
}

func infoOf(i core.ClientInfo) clientInfo {
	return clientInfo{User: i.User, Client: i.Client, ConnInfo: ifJSON(i.ConnInfo), ChanInfo: ifJSON(i.ChanInfo)}
}

// ifJSON keeps what is not JSON out of an answer that is.
func ifJSON(b []byte) json.RawMessage {
	if !json.Valid(b) {
		return nil
	}
	return b
}

func (r *presenceRequest) about() (string, any) { return r.Channel, r }

func (r *presenceRequest) run(ctx context.Context, c *Commands) (any, error) {
	members, err := c.cluster.Presence(ctx, r.Channel)
	result := presenceResult{Presence: make(map[string]clientInfo, len(members))}
	for client, info := range members {
		result.Presence[client] = infoOf(info)
	}
	return result, err
}

type presenceStatsRequest struct {
	Channel string `json:"channel"`
}

type presenceStatsResult struct {
	NumClients int `json:"num_clients"`
	NumUsers   int `json:"num_users"`
}

func (r *presenceStatsRequest) about() (string, any) { return r.Channel, r }

func (r *presenceStatsRequest) run(ctx context.Context, c *Commands) (any, error) {
	stats, err := c.cluster.PresenceStats(ctx, r.Channel)
	return presenceStatsResult{NumClients: stats.Clients, NumUsers: stats.Users}, err
}

type historyRequest struct {
	Channel string    `json:"channel"`
	Limit   int       `json:"limit,omitempty"` // 0: only the position; negative: all.
	Since   *position `json:"since,omitempty"`
	Reverse bool      `json:"reverse,omitempty"`
}

type historyResult struct {
	Publications []publication `json:"publications"`
	Offset       uint64        `json:"offset"`
	Epoch        string        `json:"epoch"`
}

type publication struct {
	Data    json.RawMessage   `json:"data,omitempty"`
	B64Data []byte            `json:"b64data,omitempty"` // Instead of data, for what is not JSON.
	Info    *clientInfo       `json:"info,omitempty"`
	Offset  uint64            `json:"offset"`
	Tags    map[string]string `json:"tags,omitempty"`
}

func (r *historyRequest) about() (string, any) { return r.Channel, r }

func (r *historyRequest) run(ctx context.Context, c *Commands) (any, error) {
	query := history.Query{Limit: r.Limit, Reverse: r.Reverse}
	if r.Since != nil {
		query.Since = &core.Position{Offset: r.Since.Offset, Epoch: r.Since.Epoch}
	}
	pubs, at, err := c.cluster.History(ctx, r.Channel, query)
	result := historyResult{Publications: make([]publication, len(pubs)), Offset: at.Offset, Epoch: at.Epoch}
	for i, pub := range pubs {
		p := publication{Data: ifJSON(pub.Data), Offset: pub.Offset, Tags: pub.Tags}
		if p.Data == nil {
			p.B64Data = pub.Data
		}
		if pub.Info != nil {
			info := infoOf(*pub.Info)
			p.Info = &info
		}
		result.Publications[i] = p
	}
	return result, err
}

type historyRemoveRequest struct {
	Channel string `json:"channel"`
}

func (r *historyRemoveRequest) about() (string, any) { return r.Channel, r }

func (r *historyRemoveRequest) run(ctx context.Context, c *Commands) (any, error) {
	return empty{}, c.cluster.RemoveHistory(ctx, r.Channel)
}

type channelsRequest struct {
	Pattern string `json:"pattern,omitempty"`
}

type channelsResult struct {
	Channels map[string]channelInfo `json:"channels"`
}

type channelInfo struct {
	NumClients int `json:"num_clients"`
}

func (r *channelsRequest) about() (string, any) { return r.Pattern, r }

func (r *channelsRequest) run(ctx context.Context, c *Commands) (any, error) {
	channels, err := c.cluster.Channels(ctx, r.Pattern)
	result := channelsResult{Channels: make(map[string]channelInfo, len(channels))}
	for name, members := range channels {
		result.Channels[name] = channelInfo{members}
	}
	return result, err
}
