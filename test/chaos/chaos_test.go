package chaos_test

import (
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// patient has no client closed, and no process killed, because this machine is slow or stands still for a while.
const patient = `
client:
  handshake_timeout: 2m
  connect_timeout: 2m
  write_timeout: 2m
  ping: {interval: 150s, timeout: 2m}
  max_connections: 0
  limits: {commands_per_second: 0}
shutdown: {timeout: 1m}
`

// The namespaces stand last, so that tests can add some.
const config = patient + `
auth: {type: none, user: claimed}
namespaces:
  default: {subscribe: anyone, publish: anyone, presence: true, history_size: 1000, history_ttl: 10m, recovery: true}
`

func url(s *server.Server) string { return "ws://" + s.Addr() + "/connection/websocket" }

// grow waits until so many more publications have been acknowledged, so that what comes happens under load.
func grow(t *testing.T, f *chaos.Fleet, by int) {
	t.Helper()
	enough := f.Acknowledged() + by
	chaos.Await(t, chaos.Patience, "clients publish", func() string {
		if f.Acknowledged() < enough {
			return "too little was acknowledged"
		}
		return ""
	})
}

func TestServerKilled(t *testing.T) {
	s := server.Start(t, server.Options{Config: config})
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 20, URLs: []string{url(s)}})
	for range 3 {
		grow(t, f, 100)
		s.Kill()
		s.Run()
		f.AwaitAll()
	}
	f.Verify()
}
