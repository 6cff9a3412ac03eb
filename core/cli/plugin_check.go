package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/scenario"
	"github.com/zenconn/server/hooks/wasm/meter"
)

// abiModule is the module from which plugins import, and so the name of their ABI.
const abiModule = "hook_v1"

// pluginReport is what check has found out.
type pluginReport struct {
	File     string        `json:"file"`
	Runtime  string        `json:"runtime"` // lua or wasm.
	Hash     string        `json:"hash"`
	Size     int           `json:"size"` // Bytes.
	Wasm     *moduleReport `json:"wasm,omitempty"`
	Hooks    []string      `json:"hooks"`
	Needs    []need        `json:"needs"`
	Dry      []dryRun      `json:"dry_run"`
	Problems []string      `json:"problems"`
}

// moduleReport is what a module itself says.
type moduleReport struct {
	ABI       string   `json:"abi"`     // Empty: it imports nothing from the server.
	Metered   int      `json:"metered"` // Bytes, with what makes it stoppable.
	MemoryMin int64    `json:"memory_min"`
	MemoryMax int64    `json:"memory_max"`
	Imports   []string `json:"imports"`
	Exports   []string `json:"exports"`
}

// need is a right that the plugin's entry must give, and what it is for.
type need struct {
	Right     string   `json:"right"` // Empty: everybody has it.
	Functions []string `json:"functions"`
}

// dryRun is what a hook answers to a sample event.
type dryRun struct {
	Hook   string `json:"hook"`
	Answer string `json:"answer"`
}

func newPluginCheckCommand(env *environment) *cobra.Command {
	var settings []string
	var asJSON bool
	dry := true
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Look at a plugin as the server would, and say what it is and what is wrong with it",
		Long: `Loads a plugin the way the server does, and asks each of its hooks once about a sample event. Shows what it implements, what it
imports and exports, and which rights (plugins.load[].allow) its entry must give it. In the dry run it has all rights: what it stores or
does is forgotten, web servers cannot be reached, and there are no keys. Where that, or the sample, is not enough for it, leave
the dry run out (--dry-run=false) and write scenarios (zenconn plugin test).

--config gives it its configuration, value by value. The flags plugins.memory and plugins.max_size are the server's.

The exit code is 1 when the server would refuse the plugin, or when a hook fails.`,
		Example: `  zenconn plugin check words.lua
  zenconn plugin check profanity.wasm --config 'words=[darn, heck]' --config action=deny`,
		Args: one("plugin check", "the FILE of a plugin", "plugins/words.lua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := scenario.Settings(settings)
			if err != nil {
				return usageError("--config: " + err.Error())
			}
			c, err := env.pluginConfig(cmd, nil)
			if err != nil {
				return err
			}
			p, remove, err := env.readPlugin(args[0], c)
			if err != nil {
				return err
			}
			r := inspect(cmd.Context(), p, values, dry)
			if err := remove(); err != nil {
				return err
			}
			if cmd.Context().Err() != nil {
				return errors.New("the check was ended")
			}
			if asJSON {
				encoder := json.NewEncoder(env.stdout)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(r)
			} else {
				err = r.print(env.stdout)
			}
			if err == nil && len(r.Problems) > 0 {
				err = fmt.Errorf("%s is not fit to be used", args[0])
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&settings, "config", nil, "a value of the plugin's configuration, as `NAME=VALUE`; the value is YAML; repeatable")
	cmd.Flags().BoolVar(&dry, "dry-run", true, "ask each hook about a sample event")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

// inspect finds out about a plugin, and then has its hooks answer.
func inspect(ctx context.Context, p *pluginFile, settings map[string]any, dry bool) *pluginReport {
	hash := sha256.Sum256(p.source)
	r := &pluginReport{
		File: p.path, Runtime: "lua", Hash: hex.EncodeToString(hash[:]), Size: len(p.source), Hooks: []string{}, Needs: []need{}, Dry: []dryRun{},
		Problems: []string{},
	}
	var functions []string
	if p.wasm {
		r.Runtime = "wasm"
		module, imported, err := readModule(p.source, p.config)
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
			return r
		}
		r.Wasm, functions = module, imported
	} else {
		functions = luaFunctions(string(p.source))
	}
	r.Needs = needs(functions)
	r.try(ctx, p, settings, dry)
	return r
}

const wasmPage = 64 << 10

// readModule reads what a module says of itself, and names the server's functions it imports.
func readModule(binary []byte, c config.Plugins) (r *moduleReport, functions []string, err error) {
	pages := uint32(min(max(int64(c.Memory)/wasmPage, 1), 1<<16)) //nolint:gosec // At most 1<<16.
	m, err := meter.Instrument(binary, pages)
	if err != nil {
		return nil, nil, err
	}
	r = &moduleReport{
		Metered: len(m.Binary), MemoryMin: int64(m.Memory.Min) * wasmPage, MemoryMax: int64(pages) * wasmPage, Imports: []string{}, Exports: []string{},
	}
	for _, i := range m.Imports {
		r.Imports = append(r.Imports, i.Module+"."+i.Name+" "+i.Type.String())
		if i.Module == abiModule {
			r.ABI = abiModule
			functions = append(functions, i.Name)
		}
	}
	for _, e := range m.Exports {
		text := e.Name + " (" + e.Kind.String() + ")"
		if e.Kind == meter.Function {
			text = e.Name + " " + e.Type.String()
		}
		r.Exports = append(r.Exports, text)
	}
	return r, functions, nil
}

// needs sorts the server's functions by the rights they want.
func needs(functions []string) []need {
	all := []need{}
	for _, f := range host.Functions() {
		if !slices.Contains(functions, f.Name) {
			continue
		}
		i := slices.IndexFunc(all, func(n need) bool { return n.Right == f.Right })
		if i < 0 {
			i, all = len(all), append(all, need{Right: f.Right})
		}
		all[i].Functions = append(all[i].Functions, f.Name)
	}
	slices.SortStableFunc(all, func(a, b need) int { return cmp.Compare(cmp.Or(a.Right, "~"), cmp.Or(b.Right, "~")) }) // Without a right last.
	return all
}

// everything is all rights there are, in a place where they do no harm.
var everything = host.Rights{
	KV: true, HTTP: []string{"${http.host}"}, Publish: true, Unsubscribe: true, Disconnect: true, JWT: true, Password: true,
}

// try loads the plugin and, if it is to be asked, asks each of its hooks once.
func (r *pluginReport) try(ctx context.Context, p *pluginFile, settings map[string]any, dry bool) {
	stage, err := scenario.Empty(settings, everything).Open(ctx, p.load)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.Problems = append(r.Problems, strings.TrimPrefix(line, p.path+": "))
		}
		return
	}
	for _, hook := range stage.Hooks() {
		name := "on_" + string(hook)
		r.Hooks = append(r.Hooks, name)
		if !dry {
			continue
		}
		answer, fault := stage.Ask(ctx, scenario.Sample(hook))
		text := answer.Verdict.String()
		switch {
		case fault != nil:
			text = "fault"
			r.Problems = append(r.Problems, name+" fails with a sample event: "+cmp.Or(errors.Unwrap(fault), fault).Error())
		case answer.Reason != "":
			text += fmt.Sprintf(" %d %q", answer.Code, answer.Reason)
		case answer.Modified:
			text += ", changes the event"
		}
		r.Dry = append(r.Dry, dryRun{name, text})
	}
	if err := stage.Close(); err != nil {
		r.Problems = append(r.Problems, "it cannot be unloaded: "+err.Error())
	}
}

// print writes a report for people.
func (r *pluginReport) print(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", r.File)
	row := func(name string, values ...string) {
		for _, v := range values {
			fmt.Fprintf(&out, "  %-10s%s\n", name, printable(v))
			name = ""
		}
	}
	row("runtime", r.Runtime)
	row("hash", r.Hash)
	if m := r.Wasm; m != nil {
		row("abi", cmp.Or(m.ABI, "imports nothing from "+abiModule))
		row("size", fmt.Sprintf("%s, metered %s", kibi(int64(r.Size)), kibi(int64(m.Metered))))
		row("memory", fmt.Sprintf("begins with %s, may grow to %s (plugins.memory)", kibi(m.MemoryMin), kibi(m.MemoryMax)))
		row("imports", m.Imports...)
		row("exports", m.Exports...)
	} else {
		row("size", kibi(int64(r.Size)))
	}
	row("hooks", r.Hooks...)
	for i, n := range r.Needs {
		title := ""
		if i == 0 {
			title = "needs"
		}
		right := "no right"
		if n.Right != "" {
			right = "allow." + n.Right
		}
		row(title, right+" for "+strings.Join(n.Functions, ", "))
	}
	for i, d := range r.Dry {
		title := ""
		if i == 0 {
			title = "dry run"
		}
		row(title, d.Hook+": "+d.Answer)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&out, "problem: %s\n", printable(p))
	}
	if len(r.Problems) == 0 {
		out.WriteString("ok\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}
