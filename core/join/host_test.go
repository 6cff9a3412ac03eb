package join

import (
	"testing"

	"github.com/zenconn/server/core/config"
)

// The host is asked without the bus, because a slow machine carries too few requests in a second to be too many.
func TestTooManyWorkers(t *testing.T) {
	h := NewHost(HostOptions{Name: "node", UID: "agent-uid"})
	c := config.Default()
	if err := h.Set(&c, nil); err != nil {
		t.Fatal(err)
	}
	for range 100 * joinsAtOnce {
		if a := h.decide(request{Protocol: Protocol, UID: "u"}); a.Refused == "too many workers join at a time" && a.Later {
			return
		}
	}
	t.Error("an agent takes any number of workers at a time")
}
