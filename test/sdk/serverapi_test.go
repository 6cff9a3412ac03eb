package sdk_test

import (
	"testing"

	"github.com/zenconn/server/test/node"
	"github.com/zenconn/server/test/server"
)

// The public SDK understands what the server API does to its session.
func TestServerAPI(t *testing.T) {
	const key = "the-key-of-the-sdk-tests"
	for _, build := range []string{"json", "protobuf"} {
		t.Run(build, func(t *testing.T) {
			s := server.Start(t, server.Options{Config: config + "api: {key: " + key + "}\n"})
			url := "ws://" + s.Addr() + "/connection/websocket"
			node.Run(t, "serverapi.test.js", "ZENCONN_BUILD="+build, "ZENCONN_SECRET="+secret, "ZENCONN_URL="+url, "ZENCONN_DIRECT_URL="+url,
				"ZENCONN_API_URL=http://"+s.APIAddr(), "ZENCONN_API_KEY="+key)
		})
	}
}
