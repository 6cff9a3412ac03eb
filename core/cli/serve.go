package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/zenconn/server/core/agent"
	"github.com/zenconn/server/core/config"
)

// serve runs the server until ctx ends. load reads the configuration again; replaceWorkers has workers that are found running replaced.
func serve(ctx context.Context, env *environment, load func() (*config.Loaded, error), replaceWorkers bool) error {
	loaded, err := load()
	if err != nil {
		return err
	}
	c := &loaded.Config
	self, err := os.Executable()
	if err != nil && c.Agent.Workers > 0 {
		return fmt.Errorf("workers cannot be started: %w", err)
	}
	log := newLogger(c.Log, env)
	a := agent.New(agent.Options{
		Config: c, Version: version(), Executable: self, Environ: env.environ, Stdout: env.stdout, Stderr: env.stderr, Log: log, ReplaceWorkers: replaceWorkers,
		Plugins: func() (config.Plugins, error) {
			next, err := load()
			if err != nil {
				return config.Plugins{}, err
			}
			return next.Config.Plugins, nil
		},
	})
	ctx, stop := context.WithCancel(ctx)
	var hearing sync.WaitGroup
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // From before anybody is told that the server is ready: nobody's signal ends it.
	hearing.Go(func() {
		defer signal.Stop(hangups)
		hear(ctx, hangups, log, func() { reload(ctx, a, c, log, load) })
	})
	err = a.Run(ctx)
	stop()
	hearing.Wait()
	if errors.Is(err, agent.ErrReplaced) {
		return env.becomeNext(self)
	}
	return err
}

// hear does something at every SIGHUP until ctx ends.
func hear(ctx context.Context, hangups <-chan os.Signal, log *slog.Logger, do func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			log.Info("asked to begin anew (SIGHUP)")
			do()
		}
	}
}

// reload has an agent with workers begin anew: with the configuration, the plugins and the program that are there now. Its workers, and
// their clients, stay, until the new agent replaces one after the other. Without workers only the plugins are reloaded. A wrong
// configuration changes nothing. Whatever comes of it is in the audit.
func reload(ctx context.Context, a *agent.Agent, c *config.Config, log *slog.Logger, load func() (*config.Loaded, error)) {
	next, err := load()
	if err != nil {
		log.Error("the configuration is wrong now; nothing was changed", "error", err)
		a.NoteHangUp("configuration", err)
		return
	}
	switch {
	case c.Agent.Workers == 0:
		log.Info("reloading the plugins; without worker processes (agent.workers) the rest of the configuration is read at the start only")
		a.NoteHangUp("plugins", a.ReloadPlugins(ctx)) // The log tells too.
	case next.Config.Agent.Workers == 0:
		const why = "agent.workers is 0 now: that takes a restart of the server; nothing was changed"
		log.Error("the configuration is not reloaded", "error", why)
		a.NoteHangUp("configuration", errors.New(why))
	default:
		a.NoteHangUp("configuration", nil)
		a.Replace()
	}
}

// newLogger makes the application log, which goes to standard error: standard output is the access log's.
func newLogger(c config.Log, env *environment) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // Checked with the configuration.
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(env.stderr, options))
	}
	return slog.New(slog.NewTextHandler(env.stderr, options))
}
