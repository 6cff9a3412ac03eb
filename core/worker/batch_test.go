package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/session"
)

// slowly returns a configuration in which publications wait for a second.
func slowly() *config.Config {
	c := open()
	ns := c.Namespaces["default"]
	ns.BatchMaxDelay, ns.BatchMaxSize = time.Second, 1000
	c.Namespaces["default"] = ns
	return c
}

// TestBatch sees publications come in one message, and counted.
func TestBatch(t *testing.T) {
	t.Parallel()
	r := start(t, slowly())
	publisher, listener := r.connect("publisher"), r.connect("listener")
	listener.ask(2, `"subscribe":{"channel":"ticks"}`)
	publisher.send(publishes(1, 20))
	for n := 1; n <= 20; n++ {
		if got := listener.expect(`"push"`); !strings.Contains(string(got), fmt.Sprintf(`{"data":%d,`, n)) || !strings.Contains(string(got), fmt.Sprintf(`"offset":%d`, n)) {
			t.Fatalf("publication %d: got %s", n, got)
		}
	}
	r.eventually("all are counted", func() bool { return r.metric("zenconn_deliveries_total") == 20 })
	if batches := r.metric("zenconn_batches_total"); batches < 1 || batches > 10 || r.metric("zenconn_batched_publications_total") != 20 {
		t.Errorf("%v batches with %v publications", batches, r.metric("zenconn_batched_publications_total"))
	}
}

// publishes is a frame of publish commands with the numbers from first to last.
func publishes(first, last int) string {
	var all []string
	for n := first; n <= last; n++ {
		all = append(all, fmt.Sprintf(`{"id":%d,"publish":{"channel":"ticks","data":%d}}`, 100+n, n))
	}
	return strings.Join(all, "\n")
}

// TestBatchBeforeTheEnd ends subscriptions and connections in all ways while publications wait: they come before.
func TestBatchBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(t *testing.T, r *running, listener *client)
		last string
		code uint16
	}{
		"the server unsubscribes": {func(t *testing.T, r *running, _ *client) {
			if err := r.worker.Server().Unsubscribe(t.Context(), session.Target{User: "listener"}, "ticks"); err != nil {
				t.Error(err)
			}
		}, `"unsubscribe":{"code":2000`, 0},
		"the client unsubscribes": {func(_ *testing.T, _ *running, listener *client) {
			listener.send(`{"id":3,"unsubscribe":{"channel":"ticks"}}`)
		}, `{"id":3,"unsubscribe":{}}`, 0},
		"the server disconnects": {func(t *testing.T, r *running, _ *client) {
			if err := r.worker.Server().Disconnect(t.Context(), session.Target{User: "listener"}, core.DisconnectForceNoReconnect); err != nil {
				t.Error(err)
			}
		}, "", uint16(core.DisconnectForceNoReconnect.Code)},
		"the server shuts down": {func(_ *testing.T, r *running, _ *client) { go r.stop() }, "", uint16(core.DisconnectShutdown.Code)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, slowly())
			publisher, listener := r.connect("publisher"), r.connect("listener")
			listener.ask(2, `"subscribe":{"channel":"ticks"}`)
			publisher.send(publishes(1, 5))
			publisher.expect(`{"id":105,`) // All five have been answered, and none has left.
			test.end(t, r, listener)
			for n := 1; n <= 5; n++ {
				if got := listener.expect(`"`); !strings.Contains(string(got), fmt.Sprintf(`{"data":%d,`, n)) {
					t.Fatalf("publication %d: got %s", n, got)
				}
			}
			if test.last != "" {
				listener.expect(test.last)
			} else {
				listener.expectClose(test.code)
			}
		})
	}
}
