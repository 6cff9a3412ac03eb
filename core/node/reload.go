package node

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/plugins"
)

// Staged is plugins that were loaded and checked beside those that are asked. Either Use or Discard must be called.
type Staged struct {
	node *Node
	next plugins.Loaded
}

// PluginVersion is a plugin, and which.
type PluginVersion struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

// PluginChange is which plugins were asked, and which are.
type PluginChange struct {
	Changed bool // Also when only their order did, or what they are run with.
	Before  []PluginVersion
	After   []PluginVersion
}

// Reload has the plugins of these bundles asked from now on, or, if something is wrong with one of them, changes nothing.
func (n *Node) Reload(ctx context.Context, bundles []plugins.Bundle) (PluginChange, error) {
	s, err := n.Stage(ctx, bundles)
	if err != nil {
		return PluginChange{}, err
	}
	return s.Use(), nil
}

// Stage loads and checks plugins. Those that are as they were are taken over as they are. Nobody else can stage others until they are
// used or discarded. An error is written down, shown as this node's complaint until the next success, and changes nothing.
// So does the end of ctx while plugins are being compiled.
func (n *Node) Stage(ctx context.Context, bundles []plugins.Bundle) (*Staged, error) {
	n.reloading.Lock()
	n.retiring.Wait() // So that there are never more than two generations.
	next, err := n.plugins.Next(ctx, bundles, n.pluginOptions())
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("the server is stopping")
		}
		n.refuseLocked(bundles, err)
		n.reloading.Unlock()
		return nil, err
	}
	return &Staged{node: n, next: next}, nil
}

// Discard gives the plugins up, for a reason that lies elsewhere.
func (s *Staged) Discard(why error) {
	n := s.node
	defer n.reloading.Unlock()
	if err := s.next.Discard(n.plugins); err != nil {
		n.log.Error("plugins that were not used could not be closed", "error", err)
	}
	n.refuseLocked(s.next.Bundles, why)
}

// Use has the plugins asked from now on. Calls that have begun end with those they began with.
func (s *Staged) Use() PluginChange {
	n := s.node
	defer n.reloading.Unlock()
	before := n.plugins
	change := PluginChange{Before: versions(before.Bundles), After: versions(s.next.Bundles), Changed: !plugins.Same(before.Bundles, s.next.Bundles)}
	n.complain(nil)
	if !change.Changed {
		return change
	}
	retire := n.chain.Replace(s.next.Links)
	n.plugins = s.next
	n.retiring.Go(func() {
		if err := retire(); err != nil {
			n.log.Error("plugins that are no longer used could not be closed", "error", err)
		}
	})
	n.metrics.Reloads.WithLabelValues("ok").Inc()
	n.log.Info("other plugins are asked now", "plugins", short(change.After), "before", short(change.Before))
	n.noteReload(change, nil)
	return change
}

// Refuse writes down that plugins are not used because they could not even be read.
func (n *Node) Refuse(why error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	n.refuseLocked(nil, why)
}

// refuseLocked writes down why plugins are not used.
func (n *Node) refuseLocked(bundles []plugins.Bundle, err error) {
	n.complain(err)
	n.metrics.Reloads.WithLabelValues("refused").Inc()
	n.log.Error("new plugins were refused; those before are still asked", "error", err)
	n.noteReload(PluginChange{Before: versions(n.plugins.Bundles), After: versions(bundles)}, err)
}

// complain shows that plugins were refused, until others are used; nil: they were not.
func (n *Node) complain(err error) {
	if err == nil {
		n.refusal.Store(nil)
		return
	}
	const most = 300 // Bytes: it is said with every hello.
	text := "runs on older plugins, the new ones were refused: " + err.Error()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	n.refusal.Store(&text)
}

// noteReload records a change, or the refusal of one.
func (n *Node) noteReload(c PluginChange, err error) {
	event := &audit.Action{
		At: time.Now(), ID: core.NewID(), Node: n.options.Name, Actor: "zenconn " + n.options.Version, ActorKind: "server", Action: "plugin_reload",
		Target: n.options.Name, OK: err == nil,
	}
	request, _ := json.Marshal(map[string][]PluginVersion{"before": c.Before, "after": c.After}) // Nothing in it can fail.
	event.Request = string(request)
	if err != nil {
		event.Error = err.Error()
	}
	n.recorder.Record(event)
}

// short names plugins for people: name@hash, of which the beginning does.
func short(all []PluginVersion) string {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.Name + "@" + v.Hash[:min(len(v.Hash), 12)]
	}
	return strings.Join(names, " ")
}

func versions(bundles []plugins.Bundle) []PluginVersion {
	all := make([]PluginVersion, len(bundles))
	for i, b := range bundles {
		all[i] = PluginVersion{b.Name, b.Hash}
	}
	return all
}
