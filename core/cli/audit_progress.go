package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	progressPause = 200 * time.Millisecond // Between two pictures.
	progressWidth = 30                     // Of the bar, in cells.
)

// progress shows on a terminal how far something is. Anywhere else it shows nothing.
type progress struct {
	out   io.Writer // nil: nothing is shown.
	total int64
	done  int64
	began time.Time
	shown time.Time // When the last picture was shown; zero: none was.
}

func newProgress(w io.Writer) *progress {
	if terminalWidth(w) == 0 {
		w = nil
	}
	return &progress{out: w}
}

func (p *progress) begin(total int64) { p.total, p.began = total, time.Now() }

func (p *progress) add(n int64) {
	p.done += n
	if p.out == nil || p.done%256 > 0 && p.done < p.total {
		return
	}
	if now := time.Now(); now.Sub(p.shown) >= progressPause {
		p.shown = now
		p.show(now)
	}
}

func (p *progress) show(now time.Time) {
	share := min(1, float64(p.done)/float64(max(1, p.total)))
	bar := blocks(share * progressWidth)
	rate := float64(p.done) / max(now.Sub(p.began).Seconds(), 0.001)
	fmt.Fprintf(p.out, "\r\x1b[K%s%s %3.0f %%  %d of %d  %.0f/s", bar, strings.Repeat("·", max(0, progressWidth-width(bar))), 100*share, p.done, p.total, rate)
}

// end leaves the terminal as it was.
func (p *progress) end() {
	if p.out != nil && !p.shown.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
