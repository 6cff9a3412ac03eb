package plugins

import (
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
}

// Links loads bundles into their runtimes, in their order. All that is wrong is reported at once, and then nothing stays loaded. The links belong to the caller, who gives them to a chain or closes their plugins.
func Links(bundles []Bundle, o Options) ([]hooks.Link, error) {
	var links []hooks.Link
	var errs []error
	for _, b := range bundles {
		p, err := b.load(o)
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
func (b Bundle) load(o Options) (hooks.Plugin, error) {
	if filepath.Ext(b.File) == ".wasm" {
		return wasm.LoadSource(b.File, b.Source, wasm.Options{
			Name: b.Name, Config: b.Config, Memory: int64(b.Memory), MaxSize: int64(b.MaxSize), Cache: o.Cache, Logger: o.Log,
			Services: o.Services, Rights: b.Rights,
		})
	}
	return lua.LoadSource(b.File, b.Source, lua.Options{
		Name: b.Name, Config: b.Config, Logger: o.Log, Services: o.Services, Rights: b.Rights,
	})
}
