package config

import (
	"fmt"
	"slices"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Sources are the places a configuration comes from, weakest first. Below them lie the defaults.
type Sources struct {
	Files   []string       // YAML, TOML or JSON, told apart by their ending; later ones win.
	Environ []string       // As os.Environ returns it; only names that begin with ZENCONN_ count.
	Flags   *pflag.FlagSet // Parsed, with the flags of AddFlags; may be nil.
}

// Loaded is a checked configuration that knows where every value came from.
type Loaded struct {
	Config  Config
	origins map[string]Origin
}

// Origin says where the value of a key came from, such as client.addr or namespaces.chat.presence.
func (l *Loaded) Origin(key string) Origin { return l.origins[key] }

// Load reads, merges and checks all sources. Everything that is wrong is in the one error, which is an *Error.
//
// Without any source at all it returns the demo mode's configuration.
func Load(s Sources) (*Loaded, error) {
	var layers []layer
	var unread []Problem
	for _, path := range s.Files {
		l, problems := readFile(path)
		layers, unread = append(layers, l), append(unread, problems...)
	}
	variables, badVariables := environmentLayers(s.Environ)
	flags, badFlags := flagLayers(s.Flags)
	layers = slices.Concat(layers, variables, flags)

	check := &checker{origins: map[string]Origin{}, refused: map[string]bool{}}
	for _, p := range slices.Concat(badVariables, badFlags) {
		check.refused[p.Key] = true
	}
	configured := len(layers)+len(badVariables)+len(badFlags) > 0
	loaded, err := merge(check, layers, configured)
	if err != nil {
		return nil, err
	}
	problems := slices.Concat(unread, check.problems, badVariables, badFlags)
	if len(unread) == 0 { // What an unread file would have said, nobody knows.
		problems = append(problems, validate(loaded, check.refused)...)
	}
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	return loaded, nil
}

// merge checks each layer alone and lays them over each other and the defaults. Its error is a fault of this package.
func merge(check *checker, layers []layer, configured bool) (*Loaded, error) {
	demo := !configured
	for i := range layers {
		if on, ok := layers[i].tree["demo"].(bool); ok {
			demo = on
		}
	}
	if demo {
		layers = append([]layer{{origin: Origin{Layer: LayerDemo}, tree: demoTree()}}, layers...)
	}

	namespaces := map[string]any{}
	var trees []map[string]any
	for i := range layers {
		tree := check.add(&layers[i])
		trees = append(trees, tree)
		entries, _ := tree["namespaces"].(map[string]any)
		for name := range entries {
			namespaces[name] = asTree(DefaultNamespace())
		}
	}
	defaults := asTree(Default())
	defaults["namespaces"] = namespaces

	k := koanf.New(".")
	for _, tree := range append([]map[string]any{defaults}, trees...) {
		if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	loaded := &Loaded{origins: check.origins}
	if err := decode(k.Raw(), &loaded.Config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	loaded.Config.connectWorkers()
	return loaded, nil
}

// connectWorkers makes the embedded bus listen to the workers.
func (c *Config) connectWorkers() {
	if c.Agent.Workers > 0 && c.Bus.URL == "" && c.Bus.Listen == "" {
		c.Bus.Listen = "127.0.0.1:0"
	}
}

// asTree makes a section of a struct.
func asTree(section any) map[string]any {
	tree := map[string]any{}
	if err := decode(section, &tree); err != nil {
		panic("config: " + err.Error()) // A struct always fits a map.
	}
	return tree
}
