package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/zenconn/server/core/api"
)

// linesOfCrash is how many of the last lines of a worker that crashed are shown.
const linesOfCrash = 5

// printStatus prints what is wrong, and then a table of all processes with a line of totals.
func printStatus(w io.Writer, status *api.FleetStatus, now time.Time) error {
	var out strings.Builder
	problems(&out, status)
	rows := [][]string{{"NAME", "KIND", "STATE", "VERSION", "PID", "UPTIME", "SESSIONS", "USERS", "CHANNELS", "IN/S", "OUT/S", "MEMORY", "RESTARTS", "LAST CRASH"}}
	var total api.FleetNode
	ready := 0
	for _, n := range status.Nodes {
		rows = append(rows, rowOf(&n, now))
		total.Sessions += n.Sessions
		total.MessagesIn += n.MessagesIn
		total.MessagesOut += n.MessagesOut
		total.Memory += n.Memory
		total.Restarts += n.Restarts
		if n.State == "ready" || n.State == "replacing" {
			ready++
		}
	}
	rows = append(rows, []string{
		"total", "", fmt.Sprintf("%d of %d ready", ready, len(status.Nodes)), "", "", "", strconv.Itoa(total.Sessions), "", "",
		rate(total.MessagesIn), rate(total.MessagesOut), memory(total.Memory), strconv.Itoa(total.Restarts), "",
	})
	align(&out, rows)
	for _, r := range status.Restarts {
		if r.Running {
			fmt.Fprintf(&out, "\n%s is restarting its workers: %d of %d done\n", printable(r.Agent), r.Done, r.Count)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// problems prints what is wrong, in sentences.
func problems(out *strings.Builder, status *api.FleetStatus) {
	for _, n := range status.Nodes {
		if n.Problem == "" {
			continue
		}
		fmt.Fprintf(out, "! %s: %s\n", printable(n.Name), printable(n.Problem))
		if n.LastCrash != nil && (n.State == "crash loop" || n.State == "backing off") {
			lines := n.LastCrash.Lines
			for _, line := range lines[max(0, len(lines)-linesOfCrash):] {
				fmt.Fprintf(out, "    %s\n", printable(line))
			}
		}
	}
	for _, r := range status.Restarts {
		if r.Error != "" {
			fmt.Fprintf(out, "! %s: the restart of its workers was given up after %d of %d: %s\n", printable(r.Agent), r.Done, r.Count, printable(r.Error))
		}
	}
	if out.Len() > 0 {
		out.WriteByte('\n')
	}
}

func rowOf(n *api.FleetNode, now time.Time) []string {
	row := []string{n.Name, n.Kind, n.State, n.Version, strconv.Itoa(n.PID), age(time.Duration(n.Uptime) * time.Second), strconv.Itoa(n.Sessions),
		strconv.Itoa(n.Users), strconv.Itoa(n.Channels), rate(n.MessagesIn), rate(n.MessagesOut), memory(n.Memory), strconv.Itoa(n.Restarts), ""}
	if n.UID == "" { // Nothing is known of the process, if there is one.
		for i := 3; i <= 11; i++ {
			row[i] = "-"
		}
		if n.PID != 0 {
			row[4] = strconv.Itoa(n.PID)
		}
	}
	if n.LastCrash != nil {
		row[13] = age(now.Sub(n.LastCrash.At)) + " ago: " + n.LastCrash.Text
	}
	for i := range row {
		row[i] = printable(row[i])
	}
	return row
}

// leftColumns are the columns of text at the beginning and the end of a row; what is between are numbers and flush right.
const (
	leftColumns  = 4
	rightColumns = 13
)

func align(out *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-width(cell))
			if i >= leftColumns && i < rightColumns {
				line.WriteString(space + cell)
			} else {
				line.WriteString(cell + space)
			}
			line.WriteString("  ")
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// age shows a time in its two largest units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
}

func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return strconv.FormatFloat(perSecond, 'f', 0, 64)
}

func memory(bytes int64) string {
	const mebi = 1 << 20
	if bytes >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", (bytes+mebi/2)/mebi)
}
