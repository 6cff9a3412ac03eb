package browser_test

import (
	_ "embed"
	"testing"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/node"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// plugin is what the README's reader tries first: refuse somebody, rewrite a word.
//
//go:embed testdata/manners.lua
var plugin string

// config is demo mode that gives this machine time, and takes what it has kept back while it stood still.
const config = `
demo: true
client:
  handshake_timeout: 2m
  connect_timeout: 2m
  write_timeout: 2m
  ping: {interval: 150s, timeout: 2m}
  limits: {commands_per_second: 0}
plugins: {deadline: 1m}
shutdown: {timeout: 1m}
`

// The demo page, in a real browser, against a real server in demo mode. The driver is playwright-core rather than a Go library:
// Node is needed for the SDK's tests anyway, its waits leave no room for sleeps, and the product's go.mod stays free of a browser.
func TestDemoChat(t *testing.T) {
	chromium := testenv.Program(t, "chromium", "chromium-browser", "google-chrome")
	for _, script := range []string{"talk", "network", "look"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{Config: config, Plugins: map[string]string{"10-manners.lua": plugin}})
			p := server.NewProxy(t, s.Addr())
			node.Run(t, script+".test.js",
				"ZENCONN_CHROMIUM="+chromium, "ZENCONN_URL=http://"+p.Addr()+"/", "ZENCONN_DIRECT_URL=http://"+s.Addr()+"/",
				"ZENCONN_CONTROL="+server.Control(t, s, p))
		})
	}
}
