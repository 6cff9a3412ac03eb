package cli

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zenconn/server/audit/ask"
)

const (
	mostBars      = 15
	longestLabel  = 40 // Cells.
	leastBarWidth = 10
)

// bars prints the largest values of an answer as bars.
type bars struct {
	out    io.Writer
	width  int // Of a line, in cells.
	chart  ask.Chart
	labels []int // The columns.
	value  int
	all    []bar
	rows   int
}

type bar struct {
	label string
	value float64
}

func (b *bars) columns(names []string) error {
	for _, label := range b.chart.Labels {
		b.labels = append(b.labels, slices.Index(names, label))
	}
	b.value = slices.Index(names, b.chart.Value)
	return nil
}

func (b *bars) row(values []any) error {
	if b.rows++; b.rows > mostBars {
		return nil
	}
	value, err := strconv.ParseFloat(asText(values[b.value]), 64)
	if err != nil {
		return fmt.Errorf("%s is no number: %w", b.chart.Value, err)
	}
	var label []string
	for _, column := range b.labels {
		if text := printable(asText(values[column])); text != "" {
			label = append(label, text)
		}
	}
	b.all = append(b.all, bar{cut(strings.Join(label, " "), longestLabel), value})
	return nil
}

func (b *bars) end() error {
	most, labels, numbers := 0.0, 0, 0
	for _, bar := range b.all {
		most = max(most, bar.value)
		labels, numbers = max(labels, width(bar.label)), max(numbers, len(numeral(bar.value)))
	}
	if most == 0 {
		return nil
	}
	room := max(leastBarWidth, b.width-labels-numbers-4)
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s\n", b.chart.Value)
	for _, bar := range b.all {
		line := fmt.Sprintf("%s%s  %*s  %s", bar.label, strings.Repeat(" ", labels-width(bar.label)), numbers, numeral(bar.value),
			blocks(bar.value/most*float64(room)))
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(b.out, text.String())
	return err
}

func numeral(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// blocks is a bar of so many cells, to an eighth; what is not nothing can be seen.
func blocks(cells float64) string {
	eighths := int(math.Round(cells * 8))
	if eighths == 0 && cells > 0 {
		eighths = 1
	}
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string(rune('█' + 8 - rest)) // U+2588 is whole; the next ones are an eighth less each.
	}
	return text
}
