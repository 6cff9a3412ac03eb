package sdk_test

import (
	_ "embed"
	"testing"

	"github.com/zenconn/server/test/node"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

const secret = "0123456789abcdef0123456789abcdef"

// patient gives this machine time, as the scripts do: it may stand still for seconds, between a token's making and its check too.
const patient = `
shutdown: {timeout: 2m}
plugins: {deadline: 1m}
auth:
  type: jwt
  jwt: {hmac_secret: ` + secret + `, leeway: 2m}
client:
  handshake_timeout: 2m
  connect_timeout: 2m
  write_timeout: 2m
  ping: {interval: 150s, timeout: 2m}
`

// config is a server as one would run it: tokens, and namespaces that differ in what they allow.
const config = patient + `  limits: {channels: 8, sessions_per_user: 3, commands_per_second: 0}
namespaces:
  default: {subscribe: user, publish: user, presence: true, join_leave: true, history_size: 500, history_ttl: 30m, recovery: true}
  past:    {subscribe: user, publish: user, history_size: 20, history_ttl: 30m}
  short:   {subscribe: user, publish: user, history_size: 3, history_ttl: 30m, recovery: true}
  memory:  {subscribe: user, publish: user, history_size: 20, history_ttl: 30m, recovery: true, history_storage: memory}
  live:    {subscribe: user, publish: user}
  others:  {subscribe: user, publish: user, exclude_sender: true}
  private: {subscribe: granted, publish: granted}
  closed:  {subscribe: nobody, publish: nobody}
`

// plugin answers calls, refuses by itself and changes what is said.
//
//go:embed testdata/rules.lua
var plugin string

// The public SDK is a client of this server, unmodified, in both protocols, whatever processes the server is made of.
func TestSDK(t *testing.T) {
	for name, topology := range server.Topologies {
		for _, build := range []string{"json", "protobuf"} {
			for _, script := range []string{"messaging", "recovery", "tokens", "lifecycle"} {
				t.Run(name+"/"+build+"/"+script, func(t *testing.T) {
					if script == "tokens" {
						t.Parallel() // It waits for tokens to expire and needs hardly anything.
					}
					s := server.Start(t, server.Options{Config: config, Plugins: map[string]string{"10-test.lua": plugin}, Topology: topology})
					p := server.NewProxy(t, s.Addr())
					node.Run(t, script+".test.js",
						"ZENCONN_BUILD="+build, "ZENCONN_SECRET="+secret, "ZENCONN_TOPOLOGY="+string(topology),
						"ZENCONN_URL=ws://"+p.Addr()+"/connection/websocket", "ZENCONN_DIRECT_URL=ws://"+s.Second().Addr()+"/connection/websocket",
						"ZENCONN_CONTROL="+server.Control(t, s, p))
				})
			}
		}
	}
}
