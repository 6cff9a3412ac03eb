package api

import (
	"context"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/session"
)

// Cluster is what the server API acts upon: all sessions and channels, in whichever process they are kept. A session.Server is the
// Cluster of a server that is one process, and cluster.Calls that of many.
//
// All methods may be called concurrently, keep the deadline of ctx, and return when what they do has been done. An error that is a
// *core.Error is told to the caller; any other is a fault, of which only the log tells. Byte slices given are not used by the caller
// afterwards, and those returned must not be written.
type Cluster interface {
	Publish(ctx context.Context, o session.Outgoing) (core.Position, error)

	Subscribe(ctx context.Context, t session.Target, channel string, s session.Subscription) error
	Unsubscribe(ctx context.Context, t session.Target, channel string) error
	Disconnect(ctx context.Context, t session.Target, d core.Disconnect) error
	Refresh(ctx context.Context, t session.Target, expireAt int64) error
	Send(ctx context.Context, t session.Target, data []byte) (sessions int, err error)
	Call(ctx context.Context, method string, input []byte) (reply []byte, err error)

	Presence(ctx context.Context, channel string) (map[string]core.ClientInfo, error)
	PresenceStats(ctx context.Context, channel string) (presence.Stats, error)
	History(ctx context.Context, channel string, q history.Query) ([]*core.Publication, core.Position, error)
	RemoveHistory(ctx context.Context, channel string) error
	Channels(ctx context.Context, pattern string) (map[string]int, error)

	Nodes(ctx context.Context) ([]session.NodeInfo, error)
	Counts(ctx context.Context) (sessions, users int, err error)
	Users(ctx context.Context, p session.Page) ([]session.UserInfo, error)
	Online(ctx context.Context, users []string) (sessions map[string]int, err error)
	Sessions(ctx context.Context, f session.Filter, p session.Page) ([]session.Info, error)
}
