package imports

import (
	"fmt"
	"slices"
	"strings"
)

// pkg is one package of the graph. Names of this module's packages are relative to it.
type pkg struct {
	imports     []string
	testImports []string // Of its tests alone.
	std         bool
	own         bool // Of this module.
}

// graph holds the packages by name, with everything they import.
type graph map[string]pkg

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		folder, below := strings.CutSuffix(p, "...")
		if name == p || below && strings.HasPrefix(name, folder) {
			return true
		}
	}
	return false
}

// violations names every forbidden import, and why it is forbidden, in the order of the packages' names.
func (g graph) violations() []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, name := range g.own() {
		g.checkLayer(name, say)
		g.checkOnly(name, say)
		g.checkNever(name, say)
		g.checkHome(name, say)
	}
	return found
}

func (g graph) own() []string {
	var names []string
	for name, p := range g {
		if p.own {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// layerOf returns the index of the layer that lists the package, -1 when none does.
func layerOf(name string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return matches(layer, name) })
}

// sameFolder reports whether two packages belong to one folder of a layer: core/transport and core/transport/websocket, say.
func sameFolder(a, b string) bool {
	for _, p := range layers[layerOf(a)] {
		if folder, below := strings.CutSuffix(p, "/..."); below && matches([]string{folder, p}, a) && matches([]string{folder, p}, b) {
			return true
		}
	}
	return false
}

func (g graph) checkLayer(name string, say func(string, ...any)) {
	layer := layerOf(name)
	if layer < 0 {
		say("%s has no place in the table of layers: add it where it belongs", name)
		return
	}
	for _, imported := range g[name].imports {
		if !g[imported].own || layerOf(imported) < 0 {
			continue
		}
		if other := layerOf(imported); other > layer || other == layer && !sameFolder(name, imported) {
			say("%s must not import %s: %s", name, imported, whyLayers)
		}
	}
}

func (g graph) checkOnly(name string, say func(string, ...any)) {
	for _, rule := range only {
		if !matches(rule.who, name) {
			continue
		}
		for _, imported := range g[name].imports {
			if !g[imported].std && !matches(rule.what, imported) {
				say("%s must not import %s: %s", name, imported, rule.why)
			}
		}
	}
}

func (g graph) checkNever(name string, say func(string, ...any)) {
	for _, rule := range never {
		if !matches(rule.who, name) {
			continue
		}
		if rule.direct {
			for _, imported := range g[name].imports {
				if matches(rule.what, imported) {
					say("%s must not import %s: %s", name, imported, rule.why)
				}
			}
			continue
		}
		for _, path := range g.paths(name, rule.what) {
			say("%s must not reach %s (%s): %s", name, path[len(path)-1], strings.Join(path, " → "), rule.why)
		}
	}
}

func (g graph) checkHome(name string, say func(string, ...any)) {
	for _, rule := range home {
		if matches(rule.who, name) {
			continue
		}
		for _, imported := range g[name].imports {
			if matches(rule.what, imported) && !matches(rule.what, name) { // Packages of one home may import each other.
				say("%s must not import %s, only %s may: %s", name, imported, whom(rule.who), rule.why)
			}
		}
	}
	if slices.Contains(g[name].testImports, "main") {
		say("the tests of %s must not import main: there is nothing in it to use", name)
	}
}

func whom(who []string) string {
	if len(who) == 0 {
		return "nobody"
	}
	return strings.Join(who, ", ")
}

// paths returns, for every package that matches and that from reaches, a shortest chain of imports that leads there. What lies
// behind a match is not searched.
func (g graph) paths(from string, what []string) [][]string {
	var found [][]string
	seen := map[string]bool{from: true}
	queue := [][]string{{from}}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		for _, next := range g[path[len(path)-1]].imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(path), next)
			if matches(what, next) {
				found = append(found, longer)
			} else if !g[next].std {
				queue = append(queue, longer)
			}
		}
	}
	return found
}
