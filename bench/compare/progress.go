package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/zenconn/server/bench"
)

// progress tells how far it is: a line for each run, and below it, on a terminal, a bar.
type progress struct {
	out         io.Writer
	bar         *bench.ProgressBar // nil: it is no terminal.
	runs        int
	done, total int
	began       time.Time
}

func newProgress(out io.Writer, groups []group, runs int) *progress {
	p := &progress{out: out, runs: runs, began: time.Now()}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			p.bar = bench.NewProgressBar(out, columns)
		}
	}
	for _, g := range groups {
		p.total += runs * len(g.servers)
	}
	return p
}

// tell says what a run has found.
func (p *progress) tell(g *group, server string, run int, r *result) {
	p.done++
	if p.bar != nil {
		p.bar.Clear()
	}
	left := time.Duration(float64(time.Since(p.began)) / float64(p.done) * float64(p.total-p.done)).Round(time.Second)
	fmt.Fprintf(p.out, "[%d/%d] %s, run %d of %d, %s:", p.done, p.total, g.id, run+1, p.runs, server)
	if r.failure != "" {
		fmt.Fprintf(p.out, " FAILED: %s", r.failure)
	} else {
		for _, f := range g.figures {
			fmt.Fprintf(p.out, " %s %s;", number(f.value(r), f.decimals), f.name)
		}
	}
	fmt.Fprintf(p.out, " load %s; about %s left\n", loadAverage(), left)
	if p.bar != nil && p.done < p.total {
		p.bar.Show(bench.Progress{Phase: "runs", Done: p.done, Total: p.total})
	}
}
