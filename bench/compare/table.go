package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// spanOf is a median and the range around it.
type spanOf struct{ median, least, most float64 }

// span returns the median of values; of an even number, the mean of the two in the middle.
func span(values []float64) (s spanOf, ok bool) {
	if len(values) == 0 {
		return s, false
	}
	slices.Sort(values)
	n := len(values)
	return spanOf{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}, true
}

func (s spanOf) text(decimals int) string {
	if s.least == s.most {
		return number(s.median, decimals)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median, decimals), number(s.least, decimals), number(s.most, decimals))
}

// number writes a number with commas between its thousands.
func number(v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// values returns a figure of the runs that count.
func values(results []result, f figure) (all []float64) {
	for i := range results {
		if results[i].failure == "" {
			all = append(all, f.value(&results[i]))
		}
	}
	return all
}

// ratios compares runs that were made one after the other, where both count.
func ratios(ours, theirs []result, f figure) (all []float64) {
	for i := range min(len(ours), len(theirs)) {
		if ours[i].failure == "" && theirs[i].failure == "" && f.value(&theirs[i]) != 0 {
			all = append(all, f.value(&ours[i])/f.value(&theirs[i]))
		}
	}
	return all
}

// verdict says whether a goal is reached, in the words of the table.
func (g goal) verdict(value, ratio spanOf) (want, reached string) {
	check := func(sign string, limit float64, ok bool, unit string) (string, string) {
		text := sign + " " + strings.TrimSuffix(number(limit, 2), ".00") + unit
		if ok {
			return text, "yes"
		}
		return text, "**no**"
	}
	switch {
	case g.atLeast > 0:
		return check("≥", g.atLeast, value.median >= g.atLeast, "")
	case g.atMost > 0:
		return check("≤", g.atMost, value.median <= g.atMost, "")
	case g.ratioAtLeast > 0:
		return check("≥", g.ratioAtLeast, ratio.median >= g.ratioAtLeast, " ×")
	case g.ratioAtMost > 0:
		return check("≤", g.ratioAtMost, ratio.median <= g.ratioAtMost, " ×")
	}
	return "", ""
}

// failures describes the runs of a server that do not count; empty: all do.
func failures(name string, results []result) string {
	reasons := make(map[string]int)
	for i := range results {
		if results[i].failure != "" {
			reasons[results[i].failure]++
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	var list []string
	for reason, n := range reasons {
		list = append(list, fmt.Sprintf("%d of %d runs of %s: %s", n, len(results), name, strings.NewReplacer("\n", " ", "|", "\\|").Replace(reason)))
	}
	slices.Sort(list)
	return "**failed:** " + strings.Join(list, "; ")
}

// failed reports whether any run does not count.
func (m *measured) failed() bool {
	for _, results := range m.results {
		if slices.ContainsFunc(results, func(r result) bool { return r.failure != "" }) {
			return true
		}
	}
	return false
}

// writeTable writes the rows of all groups as Markdown.
func writeTable(w io.Writer, all []*measured) {
	fmt.Fprint(w, "| case | server | figure | measured | compared with | | ratio | goal | reached |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range all {
		name := m.name
		for _, row := range m.rows {
			server := row.server
			for _, f := range m.figures {
				m.writeFigure(w, name, server, &row, f)
				name, server = "", "" // Said once is enough.
			}
		}
	}
}

func (m *measured) writeFigure(w io.Writer, name, server string, row *row, f figure) {
	ours, theirs := m.results[row.server], m.results[row.against]
	value, ok := span(values(ours, f))
	other, compared := span(values(theirs, f))
	ratio, comparable := span(ratios(ours, theirs, f))
	cells := []string{name, server, f.name, "–", "–", "–", "–", "–", "–"}
	if ok {
		cells[3] = value.text(f.decimals)
	}
	if row.against != "" {
		cells[4] = row.against
	}
	if compared {
		cells[5] = other.text(f.decimals)
	}
	if comparable {
		cells[6] = ratio.text(2)
	}
	if g, wanted := row.goals[f.name]; wanted {
		cells[7], cells[8] = g.verdict(value, ratio)
		if !ok || g.ratioAtLeast+g.ratioAtMost > 0 && !comparable {
			cells[8] = "not shown"
		}
	}
	// What failed stands beside the first figure of a server, whatever the others say.
	if bad := cmp.Or(failures(row.server, ours), failures(row.against, theirs)); bad != "" && server != "" {
		cells[8] = bad
	}
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// writeCommands writes how each case was measured, and on how busy a machine.
func writeCommands(w io.Writer, all []*measured, command func(*group, *server) []string) {
	fmt.Fprint(w, "| `-case` | server | its options | load generator | load average (1, 5, 15 min) before → after |\n|---|---|---|---|---|\n")
	for _, m := range all {
		id, load := "`"+m.id+"`", m.load[0]+" → "+m.load[1]
		for _, s := range m.servers {
			options := quoted(append(slices.Clone(s.environ), s.args...))
			switch {
			case s.control:
				options = "`bench/baseline`"
			case options != "":
				options = "`" + withoutPassword(options) + "`"
			}
			fmt.Fprintf(w, "| %s | %s | %s | `zenconn %s` | %s |\n", id, s.name, options, quoted(command(m.group, &s)), load)
			id, load = "", ""
		}
	}
}

// quoted writes arguments as a shell takes them.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, arg := range args {
		name, value, variable := strings.Cut(arg, "=")
		switch {
		case !strings.ContainsAny(arg, ` "`):
			out[i] = arg
		case variable:
			out[i] = name + "='" + value + "'"
		default:
			out[i] = "'" + arg + "'"
		}
	}
	return strings.Join(out, " ")
}

// withoutPassword leaves out of a DSN among the options what is nobody's business.
func withoutPassword(options string) string {
	const scheme = "clickhouse://"
	before, dsn, found := strings.Cut(options, scheme)
	if !found {
		return options
	}
	dsn, after, _ := strings.Cut(dsn, " ")
	if i := strings.LastIndex(dsn, "@"); i >= 0 {
		dsn = "…" + dsn[i:]
	}
	return strings.TrimSpace(before + scheme + dsn + " " + after)
}
