package sdk_test

import (
	"testing"

	"github.com/zenconn/server/test/node"
	"github.com/zenconn/server/test/server"
)

// The public SDK understands what the server API does to its session.
func TestServerAPI(t *testing.T) {
	const key = "the-key-of-the-sdk-tests"
	for name, topology := range server.Topologies {
		for _, build := range []string{"json", "protobuf"} {
			t.Run(name+"/"+build, func(t *testing.T) {
				s := server.Start(t, server.Options{Config: config + "api: {key: " + key + "}\n", Topology: topology})
				path := "/connection/websocket"
				node.Run(t, "serverapi.test.js", "ZENCONN_BUILD="+build, "ZENCONN_SECRET="+secret,
					"ZENCONN_URL=ws://"+s.Addr()+path, "ZENCONN_DIRECT_URL=ws://"+s.Second().Addr()+path,
					"ZENCONN_API_URL=http://"+s.Second().APIAddr(), "ZENCONN_API_KEY="+key)
			})
		}
	}
}
