package sdk_test

import (
	"testing"

	"github.com/zenconn/server/test/node"
	"github.com/zenconn/server/test/server"
)

// wireConfig is a server that saves bytes and writes in every way it can.
const wireConfig = patient + `  limits: {commands_per_second: 0}
  websocket:
    compression: {enabled: true, min_size: 200B}
namespaces:
  plain:   {subscribe: user, publish: user}
  numbers: {subscribe: user, publish: user, allow_channel_compaction: true, join_leave: true, presence: true}
  ticks:   {subscribe: user, publish: user, allow_channel_compaction: true, batch_max_delay: 500ms, batch_max_size: 500,
            history_size: 500, history_ttl: 30m, recovery: true}
  state:   {subscribe: user, publish: user, batch_max_delay: 1s, batch_flush_latest: true}
`

// The public SDK understands compressed frames, channels that are numbers, and publications that come together.
func TestSDKSavesBytes(t *testing.T) {
	for _, test := range []struct {
		topology server.Topology
		build    string
	}{{server.AllInOne, "json"}, {server.AllInOne, "protobuf"}, {server.Workers, "json"}} {
		t.Run(string(test.topology)+"/"+test.build, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{Config: wireConfig, Topology: test.topology})
			url := "/connection/websocket"
			node.Run(t, "wire.test.js", "ZENCONN_BUILD="+test.build, "ZENCONN_SECRET="+secret,
				"ZENCONN_URL=ws://"+s.Addr()+url, "ZENCONN_DIRECT_URL=ws://"+s.Second().Addr()+url)
		})
	}
}
