package cli

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// table prints aligned columns. The first rows decide how wide they are; a later value that is wider moves what follows it.
type table struct {
	out   *bufio.Writer
	limit int // Of a line, in cells of a terminal; 0: none, and nothing is cut.

	names   []string
	waiting [][]string // Rows before the widths are known.
	widths  []int      // Nil before.
	numeric []bool     // Columns that are printed flush right.
	rows    int
}

const (
	measuredRows = 1000
	leastWidth   = 23 // To which a column may be cut: a time, whole.
)

func newTable(w io.Writer, limit int) *table { return &table{out: bufio.NewWriter(w), limit: limit} }

func (t *table) columns(names []string) error {
	t.names = names
	t.numeric = make([]bool, len(names))
	return nil
}

func (t *table) row(values []any) error {
	cells := make([]string, len(values))
	for i, value := range values {
		cells[i] = printable(asText(value))
		if value == nil {
			cells[i] = "NULL"
		}
		if t.rows == 0 {
			t.numeric[i] = isNumber(value)
		}
	}
	t.rows++
	if t.widths != nil {
		return t.line(cells)
	}
	t.waiting = append(t.waiting, cells)
	if len(t.waiting) < measuredRows {
		return nil
	}
	return t.begin()
}

// begin prints the head and the rows that waited for the widths.
func (t *table) begin() error {
	t.widths = make([]int, len(t.names))
	for _, cells := range append(t.waiting, t.names) {
		for i, cell := range cells {
			t.widths[i] = max(t.widths[i], width(cell))
		}
	}
	t.fit()
	rules := make([]string, len(t.names))
	for i := range rules {
		rules[i] = strings.Repeat("-", t.widths[i])
	}
	for _, cells := range append([][]string{t.names, rules}, t.waiting...) {
		if err := t.line(cells); err != nil {
			return err
		}
	}
	t.waiting = nil
	return nil
}

// fit narrows the widest columns until a line fits the terminal.
func (t *table) fit() {
	if t.limit == 0 || len(t.widths) == 0 {
		return
	}
	total := 2 * (len(t.widths) - 1)
	for _, w := range t.widths {
		total += w
	}
	for ; total > t.limit; total-- {
		widest := slices.Max(t.widths)
		if widest <= leastWidth {
			return
		}
		t.widths[slices.Index(t.widths, widest)]--
	}
}

func (t *table) line(cells []string) error {
	var line strings.Builder
	for i, cell := range cells {
		if t.limit > 0 {
			cell = cut(cell, t.widths[i])
		}
		if i > 0 {
			line.WriteString("  ")
		}
		space := strings.Repeat(" ", max(0, t.widths[i]-width(cell)))
		if t.numeric[i] {
			line.WriteString(space + cell)
		} else {
			line.WriteString(cell + space)
		}
	}
	_, err := fmt.Fprintln(t.out, strings.TrimRight(line.String(), " "))
	return err
}

func (t *table) end() error {
	if t.widths == nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	plural := "s"
	if t.rows == 1 {
		plural = ""
	}
	fmt.Fprintf(t.out, "(%d row%s)\n", t.rows, plural)
	return t.out.Flush()
}

func isNumber(value any) bool {
	switch value.(type) {
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return true
	}
	return false
}

// printable escapes what is no character to print: users choose what they send, and a terminal obeys what it is shown.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) || r == '\u200d' { // The joiner of emoji.
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// cut shortens text to a number of cells and shows that it did.
func cut(text string, cells int) string {
	if width(text) <= cells {
		return text
	}
	used := 0
	for i, r := range text {
		if used += runeWidth(r); used > cells-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// width returns the cells that a terminal needs for text, as good as can be known without asking it.
func width(text string) (cells int) {
	for _, r := range text {
		cells += runeWidth(r)
	}
	return cells
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// wide are the characters that take two cells (Unicode Standard Annex 11, rounded to blocks).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1}, {0x231a, 0x231b, 1}, {0x23e9, 0x23ec, 1}, {0x2614, 0x2615, 1}, {0x26bd, 0x26be, 1}, {0x2705, 0x2705, 1},
		{0x274c, 0x274c, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0x33ff, 1}, {0x3400, 0x4dbf, 1}, {0x4e00, 0x9fff, 1}, {0xa000, 0xa4cf, 1},
		{0xa960, 0xa97f, 1}, {0xac00, 0xd7a3, 1}, {0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f680, 0x1f6ff, 1}, {0x1f900, 0x1faff, 1}, {0x20000, 0x3fffd, 1}},
}
