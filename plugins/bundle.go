package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/lua"
	"github.com/zenconn/server/hooks/wasm"
)

// Bundle is a plugin with everything that a process needs to run it. No bundle depends on the files it was read from. What is in it
// must not be changed.
type Bundle struct {
	Key    string // Where it stands in the configuration, for errors: plugins.load[0], plugins.dir.
	Name   string // In logs and audit; unique among the plugins of an installation.
	File   string // What it was read from, for errors. Its ending says which runtime it wants: .lua or .wasm.
	Hash   string // Lower-case hex of the SHA-256 of Source.
	Source []byte

	Config   map[string]any
	Deadline time.Duration // For one answer.
	FailOpen bool          // A fault means allow.
	Breaker  hooks.Breaker
	Memory   config.Size // Of each instance of a Wasm plugin.
	MaxSize  config.Size // Of Source, for a Wasm plugin.
	Rights   host.Rights // With its keys.
}

// Options are what plugins are run with.
type Options struct {
	Cache    string         // Directory for compiled code; empty: none.
	Services *host.Services // What stands behind the functions that plugins have rights to; nil: nothing.
	Log      *slog.Logger

	// Compiling is called before a plugin is compiled, which takes seconds, and what it returns after; nil: nobody wants to know.
	Compiling func(plugin string) (done func())
}

// Links loads bundles into their runtimes, in their order. All that is wrong is reported at once, and then nothing stays loaded; so it is
// when ctx ends. The links belong to the caller, who gives them to a chain or closes their plugins.
func Links(ctx context.Context, bundles []Bundle, o Options) ([]hooks.Link, error) {
	var links []hooks.Link
	var errs []error
	for _, b := range bundles {
		p, err := b.load(ctx, o)
		if ctx.Err() != nil && err != nil {
			errs = []error{ctx.Err()} // Nobody needs to know what else is wrong.
			break
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.Key, err))
			continue
		}
		links = append(links, hooks.Link{Plugin: p, Deadline: b.Deadline, FailOpen: b.FailOpen, Breaker: b.Breaker})
	}
	if len(errs) == 0 {
		if o.Cache != "" {
			if err := wasm.Prune(o.Cache); err != nil {
				o.Log.Warn("the cache of compiled plugins cannot be tidied up", "error", err)
			}
		}
		return links, nil
	}
	for _, link := range links {
		errs = append(errs, link.Plugin.Close())
	}
	return nil, errors.Join(errs...)
}

// load hands a bundle to the runtime that its ending wants.
func (b Bundle) load(ctx context.Context, o Options) (hooks.Plugin, error) {
	if filepath.Ext(b.File) == ".wasm" {
		var compiling func() func()
		if o.Compiling != nil {
			compiling = func() func() { return o.Compiling(b.Name) }
		}
		return wasm.LoadSource(ctx, b.File, b.Source, wasm.Options{
			Name: b.Name, Config: b.Config, Memory: int64(b.Memory), MaxSize: int64(b.MaxSize), Cache: o.Cache, Logger: o.Log,
			Compiling: compiling, Services: o.Services, Rights: b.Rights,
		})
	}
	return lua.LoadSource(b.File, b.Source, lua.Options{
		Name: b.Name, Config: b.Config, Logger: o.Log, Services: o.Services, Rights: b.Rights,
	})
}
