package websocket

import "time"

// pace tells connections over which little comes, as most do, from busy ones. A goroutine that has handled a command has a stack of several
// KiB, and keeps it. Starting another one costs a microsecond, which is little now and then, and too much for every message.
type pace struct {
	seen int64 // When something came last, Unix nanoseconds.
	busy int8  // How often in a row soon after that, up to busyAfter.
	used bool  // Something came since the goroutine began.
}

const (
	busyAfter = 8           // A connect command and what follows it are not yet busy.
	soon      = time.Second // Between one and the next.
)

// came takes down that something came.
func (p *pace) came(now int64) {
	if now-p.seen > int64(soon) {
		p.busy = 0
	} else if p.busy < busyAfter {
		p.busy++
	}
	p.seen, p.used = now, true
}

// calm says whether the goroutine that waits should make way for another one.
func (p *pace) calm() bool {
	calm := p.used && p.busy < busyAfter
	p.used = p.used && !calm
	return calm
}
