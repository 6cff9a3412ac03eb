package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/plugins/sdk"
)

// firstScenarios are those of a new plugin, which does the same in all languages.
//
//go:embed plugin_new.test.yaml
var firstScenarios []byte

// builds are the commands that build a new plugin.
var builds = map[string][]string{"go": {"make"}, "rust": {"make"}, "c": {"make"}, "as": {"npm ci", "npm run build"}}

func newPluginNewCommand(env *environment) *cobra.Command {
	var lang, dir string
	languages := strings.Join(sdk.Languages(), ", ")
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a plugin to begin with: source, build file, README and scenarios",
		Long: `Writes a small plugin that works into a new folder called NAME, with the kit for its language and its scenarios, and says which commands
come next. Nothing that is there already is written over. "as" is AssemblyScript.`,
		Example: `  zenconn plugin new --lang lua words
  zenconn plugin new --lang rust limit --dir plugins`,
		Args: one("plugin new", "the NAME of the plugin", "words"),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := sdk.Files(lang, args[0])
			if err != nil {
				return usageError(err.Error())
			}
			files[args[0]+".test.yaml"] = firstScenarios
			folder := filepath.Join(dir, args[0])
			if err := env.writePlugin(folder, files); err != nil {
				return err
			}
			ending := ".wasm"
			if lang == "lua" {
				ending = ".lua"
			}
			next := append([]string{"cd " + folder}, builds[lang]...)
			for _, what := range []string{"check", "test", "bench"} {
				next = append(next, "zenconn plugin "+what+" "+args[0]+ending)
			}
			_, err = fmt.Fprintf(env.stdout, "\nnext:\n  %s\n", strings.Join(next, "\n  "))
			return err
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "lua", "the `LANGUAGE`: "+languages)
	cmd.Flags().StringVar(&dir, "dir", ".", "the `DIRECTORY` in which the folder is made")
	return cmd
}

// writePlugin writes files into a folder that is not there yet, or empty.
func (env *environment) writePlugin(folder string, files map[string][]byte) error {
	entries, err := os.ReadDir(folder)
	switch {
	case len(entries) > 0:
		return fmt.Errorf("%s is there already; choose another name, or another --dir", folder)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is there already, and is no folder that can be read; choose another name, or another --dir", folder)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		target := filepath.Join(folder, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		if err := writeNew(target, files[file]); err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, target)
	}
	return nil
}

// writeNew writes a file that must not be there.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // Source, for whoever may read the folder.
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
