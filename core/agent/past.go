package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
)

const (
	// pastFile is in the data directory. Its lines are the names of agents on that directory, this one first; the time of its last change is
	// when such an agent was alive.
	pastFile = "agent.names"

	pastNames = 32              // Names that are kept; beyond it the oldest are forgotten.
	pastBeat  = 2 * time.Second // How often an agent shows that it lives.
)

// past is what the data directory tells about the agents that used it before.
type past struct {
	path  string
	names []string  // Of agents whose sessions may still be open in the audit; the first is this one's.
	seen  time.Time // When the last of them was alive; zero: nobody knows.
	log   *slog.Logger
}

// openPast reads what the agents before have left, and writes down the name of this one. The directory must be locked.
func openPast(dir, name string, log *slog.Logger) (*past, error) {
	p := &past{path: filepath.Join(dir, pastFile), names: []string{name}, log: log}
	switch info, err := os.Stat(p.path); {
	case err == nil:
		p.seen = info.ModTime()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("names of the agents before: %w", err)
	}
	text, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("names of the agents before: %w", err)
	}
	for line := range bytes.Lines(text) {
		before := strings.TrimSpace(string(line))
		if config.ValidNodeName(before) && !slices.Contains(p.names, before) && len(p.names) < pastNames {
			p.names = append(p.names, before)
		}
	}
	if err := p.write(p.names); err != nil {
		return nil, fmt.Errorf("names of the agents before: %w", err)
	}
	return p, nil
}

// write replaces the file as a whole: a process that is killed leaves the old one or the new one.
func (p *past) write(names []string) error {
	draft := p.path + ".new"
	if err := os.WriteFile(draft, []byte(strings.Join(names, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, p.path)
}

// knows says that a process is a worker that an agent on this directory has started.
func (p *past) knows(m cluster.Member) bool {
	return m.Kind == cluster.Worker && slices.ContainsFunc(p.names, func(name string) bool { return m.Name == workerName(name, m.Index) })
}

// settled forgets the names of the agents before: no session of theirs is open any more.
func (p *past) settled() error {
	if len(p.names) == 1 {
		return nil
	}
	if err := p.write(p.names[:1]); err != nil {
		return fmt.Errorf("names of the agents before: %w", err)
	}
	p.names = p.names[:1]
	return nil
}

// beat shows until ctx ends that this agent lives.
func (p *past) beat(ctx context.Context) {
	ticker := time.NewTicker(pastBeat)
	defer ticker.Stop()
	for told := false; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			// It only says when sessions ended that this process could not close. A full disk has room for it.
			if err := os.Chtimes(p.path, now, now); err != nil && !told {
				told = true
				p.log.Warn("it cannot be noted when this agent was alive", "error", err)
			}
		}
	}
}
