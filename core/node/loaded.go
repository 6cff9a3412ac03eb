package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/hooks"
)

// loadedTimeout is how long a node may take to say which plugins it has.
const loadedTimeout = 2 * time.Second

// loadedSubject is where a node answers with its plugins.
func loadedSubject(uid string) string { return "node." + uid + ".plugins" }

// Loaded is the plugins of one node.
type Loaded struct {
	Member  cluster.Member
	Plugins []LoadedPlugin // In the order in which they are asked.
	Err     error          // Why they are not known.
}

// LoadedPlugin is one plugin, as nodes tell each other.
type LoadedPlugin struct {
	Name     string                `json:"name"`
	Hash     string                `json:"hash"`
	Hooks    []hooks.Hook          `json:"hooks"`
	Breakers map[hooks.Hook]string `json:"breakers"` // closed, open or half-open.
}

// loaded describes this node's plugins.
func (n *Node) loaded() []LoadedPlugin {
	all := []LoadedPlugin{}
	for _, info := range n.Plugins() {
		p := LoadedPlugin{Name: info.Name, Hash: info.Hash, Hooks: info.Hooks, Breakers: make(map[hooks.Hook]string, len(info.Breakers))}
		for hook, state := range info.Breakers {
			p.Breakers[hook] = state.String()
		}
		all = append(all, p)
	}
	return all
}

// tellLoaded answers who asks for this node's plugins.
func (n *Node) tellLoaded(context.Context, []byte) ([]byte, error) { return json.Marshal(n.loaded()) }

// LoadedEverywhere asks all nodes at once which plugins they have. The nodes are in the order of the members.
func (n *Node) LoadedEverywhere(ctx context.Context) []Loaded {
	ctx, cancel := context.WithTimeout(ctx, loadedTimeout)
	defer cancel()
	members := n.members.List()
	all := make([]Loaded, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		all[i].Member = m
		switch {
		case m.Self:
			all[i].Plugins = n.loaded()
			continue
		case m.Incompatible:
			all[i].Err = fmt.Errorf("its version %s speaks another language", m.Version)
			continue
		}
		asked.Go(func() {
			body, err := n.options.Bus.Request(ctx, loadedSubject(m.UID), nil)
			if err == nil {
				err = json.Unmarshal(body, &all[i].Plugins)
			}
			all[i].Err = err
		})
	}
	asked.Wait()
	return all
}
