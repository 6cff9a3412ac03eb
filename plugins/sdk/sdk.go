// Package sdk holds the kits for plugins, a folder for each language, and what a new plugin begins with. It knows nothing of the server.
//
// The folder templates has a folder for each of Languages. In it, the plugin is called myplugin, wherever its name appears in contents and
// names of files. Files whose names end in .txt lose that ending: Go would take them for a part of this module otherwise.
package sdk

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:generate go test -run TestGoKitIsCopied -update .

// Templates are the folders templates/lua, templates/go and so on, without the kits. Files makes a plugin of them.
//
//go:embed all:templates
var Templates embed.FS

//go:embed lua/zenconn.lua rust/Cargo.toml rust/src c/zenconn.h assemblyscript/zenconn.ts
var kits embed.FS

// Languages lists the languages that plugins can be written in, the way `zenconn plugin new --lang` calls them.
func Languages() []string { return []string{"lua", "go", "rust", "as", "c"} }

// parts says which files of a kit become part of a plugin, and where. Go's are in its template.
var parts = map[string]map[string]string{
	"lua":  {"lua/zenconn.lua": "zenconn/zenconn.lua"},
	"rust": {"rust/Cargo.toml": "zenconn/Cargo.toml", "rust/src": "zenconn/src"},
	"c":    {"c/zenconn.h": "zenconn.h"},
	"as":   {"assemblyscript/zenconn.ts": "assembly/zenconn.ts"},
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*$`)

// Files is a new plugin with its kit, ready to be built: paths with slashes, relative to the plugin's folder, and what is in them.
func Files(language, name string) (map[string][]byte, error) {
	if !slices.Contains(Languages(), language) {
		return nil, fmt.Errorf("there is no kit for %q, only for %s", language, strings.Join(Languages(), ", "))
	}
	if !validName.MatchString(name) || len(name) > 64 {
		return nil, fmt.Errorf("a plugin cannot be called %q: use up to 64 lower-case letters, digits, and - or _ between them, and begin with a letter", name)
	}
	files := map[string][]byte{}
	if err := add(files, Templates, "templates/"+language, "", name); err != nil {
		return nil, err
	}
	for from, to := range parts[language] {
		if err := add(files, kits, from, to, ""); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// add copies a file or a folder. With a name it is a template.
func add(files map[string][]byte, from fs.FS, root, to, name string) error {
	return fs.WalkDir(from, root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, file)
		target := path.Join(to, strings.TrimPrefix(file, root))
		if name != "" {
			content = bytes.ReplaceAll(content, []byte("myplugin"), []byte(name))
			target = strings.ReplaceAll(strings.TrimSuffix(target, ".txt"), "myplugin", name)
		}
		files[strings.TrimPrefix(target, "/")] = content
		return err
	})
}
