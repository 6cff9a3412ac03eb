// Package plugins holds the bundled plugins, one folder each, and turns the configuration's list of plugins into the links of a
// chain: Resolve reads files and settings into bundles, which may travel to other processes, and Links makes the chain's links of
// them. A bundled plugin called x is the file x/x.lua or modules/x.wasm.gz; it runs only when the configuration names it.
//
// The package knows hooks, its runtimes and core/config. It starts no goroutine.
package plugins

import (
	"context"
	"errors"
	"io/fs"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
)

// Load resolves the configured plugins and makes links of them, for a process that does both. All that is wrong is reported at once,
// and then nothing stays loaded. The links belong to the caller, who gives them to a chain or closes their plugins.
func Load(ctx context.Context, cfg config.Plugins, bundled fs.FS, o Options) ([]hooks.Link, error) {
	bundles, unresolved := resolve(cfg, bundled)
	links, unloaded := Links(ctx, bundles, o)
	if unresolved == nil {
		return links, unloaded
	}
	all := []error{unresolved, unloaded}
	for _, link := range links {
		all = append(all, link.Plugin.Close())
	}
	return nil, errors.Join(all...)
}
