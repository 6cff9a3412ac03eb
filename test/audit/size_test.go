package audit_test

import (
	"flag"
	"time"
)

// The size of the tests. As they are, they fit into every run; the sizes at which the audit was proven are in docs/PERFORMANCE.md.
var (
	full     = flag.Bool("full", false, "break everything as often, and for as long, as the audit is meant to stand")
	rate     = flag.Int("messages", 500, "messages a second")
	clients  = flag.Int("clients", 60, "clients, publishers and subscribers")
	channels = flag.Int("channels", 10, "channels, each with one publisher")
	rows     = flag.Int("rows", 20_000, "messages that the named questions are asked about")
)

// times chooses how often something is done.
func times(few, many int) int {
	if *full {
		return many
	}
	return few
}

// lasting chooses how long something lasts at least.
func lasting(when time.Duration) time.Duration {
	if *full {
		return when
	}
	return 0
}
