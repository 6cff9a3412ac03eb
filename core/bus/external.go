package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// The oldest NATS server that can read many slots of a history in one request.
const (
	leastMajor = 2
	leastMinor = 11
)

const (
	inspectSick = 2 * time.Second // Between two looks at an external server with which something is wrong, and at any other.
	inspectWell = 15 * time.Second
)

// watch looks after an external server until ctx ends.
func (b *Bus) watch(ctx context.Context) {
	for {
		wait := inspectWell
		if b.Problem() != "" {
			wait = inspectSick
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-b.life.Done():
			timer.Stop()
			return
		case <-b.link.again:
		case <-timer.C:
		}
		timer.Stop()
		if b.Connected() {
			b.inspect(ctx)
		}
	}
}

// inspect finds out whether the server is one that we can use.
func (b *Bus) inspect(ctx context.Context) {
	problem := tooOld(b.main.ConnectedServerVersion())
	if problem == "" {
		problem = b.noJetStream(ctx)
	}
	if problem == "" {
		b.unfit.Store(nil)
		return
	}
	b.unfit.Store(&problem)
	b.log.say(slog.LevelError, "the bus cannot be used", "problem", problem)
}

// tooOld says what is wrong with a server's version.
func tooOld(version string) string {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		if version == "" { // The connection has broken.
			return ""
		}
		return fmt.Sprintf("the bus (bus.url) says that it has the version %.20q: NATS %d.%d or later is needed", version, leastMajor, leastMinor)
	}
	if major < leastMajor || major == leastMajor && minor < leastMinor {
		return fmt.Sprintf("the bus (bus.url) runs NATS %s: %d.%d or later is needed", version, leastMajor, leastMinor)
	}
	return ""
}

// noJetStream says what is wrong with the server's storage. A server that does not answer is no problem: who may not ask gets none.
func (b *Bus) noJetStream(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	answer, err := b.main.RequestWithContext(ctx, "$JS.API.INFO", nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return "the bus (bus.url) has no JetStream: switch it on in the server's configuration"
	}
	if err != nil {
		return ""
	}
	var info struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if json.Unmarshal(answer.Data, &info) == nil && info.Error != nil {
		return "the bus (bus.url) cannot store: " + info.Error.Description
	}
	return ""
}
