package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Progress says where a run is.
type Progress struct {
	Phase       string
	Done, Total int           // Connections, while connecting.
	Elapsed     time.Duration // Of Length, while running.
	Length      time.Duration
	Rate        float64 // Of Unit.
	Unit        string
	Measured    bool // It is what the run is about, not what comes before or after.
}

// share returns how much of the phase is over, 0 to 1.
func (p Progress) share() float64 {
	switch {
	case p.Total > 0:
		return float64(p.Done) / float64(p.Total)
	case p.Length > 0:
		return min(p.Elapsed.Seconds()/p.Length.Seconds(), 1)
	default:
		return 0
	}
}

func (p Progress) String() string {
	var b strings.Builder
	b.WriteString(p.Phase)
	switch {
	case p.Total > 0:
		fmt.Fprintf(&b, " %s/%s", grouped(float64(p.Done)), grouped(float64(p.Total)))
	case p.Length > 0:
		fmt.Fprintf(&b, " %.1f of %.1f s", p.Elapsed.Seconds(), p.Length.Seconds())
	}
	if p.Unit != "" {
		fmt.Fprintf(&b, ", %s %s", grouped(p.Rate), p.Unit)
	}
	return b.String()
}

// ProgressBar draws a run's progress into one line of a terminal.
type ProgressBar struct {
	out   io.Writer
	width int
}

// NewProgressBar returns a bar for a terminal that is columns wide.
func NewProgressBar(out io.Writer, columns int) *ProgressBar {
	return &ProgressBar{out, max(columns, 40)}
}

// Show draws p over what was drawn before.
func (b *ProgressBar) Show(p Progress) {
	const cells = 20
	full := int(p.share() * cells)
	line := strings.Repeat("█", full) + strings.Repeat("░", cells-full) + " " + p.String()
	if runes := []rune(line); len(runes) >= b.width {
		line = string(runes[:b.width-1])
	}
	fmt.Fprintf(b.out, "\r%s\x1b[K", line) //nolint:errcheck // A terminal that is gone needs no bar.
}

// Clear takes the bar away.
func (b *ProgressBar) Clear() {
	io.WriteString(b.out, "\r\x1b[K") //nolint:errcheck // See Show.
}

// grouped writes a number as 1,234,567.
func grouped(v float64) string {
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}
