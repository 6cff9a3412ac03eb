package cli

import (
	"context"
	"log/slog"

	"github.com/zenconn/server/core/agent"
	"github.com/zenconn/server/core/config"
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, env *environment, loaded *config.Loaded) error {
	c := &loaded.Config
	return agent.New(c, version(), env.stdout, newLogger(c.Log, env)).Run(ctx)
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
