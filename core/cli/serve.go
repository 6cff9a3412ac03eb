package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/zenconn/server/core/agent"
	"github.com/zenconn/server/core/config"
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, env *environment, loaded *config.Loaded) error {
	c := &loaded.Config
	self, err := os.Executable()
	if err != nil && c.Agent.Workers > 0 {
		return fmt.Errorf("workers cannot be started: %w", err)
	}
	return agent.New(agent.Options{
		Config: c, Version: version(), Executable: self, Stdout: env.stdout, Stderr: env.stderr, Log: newLogger(c.Log, env),
	}).Run(ctx)
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
