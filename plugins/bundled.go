package plugins

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Modules are built from the sources in the plugins' folders, and kept in the repository: building the server needs no other compiler.
//go:generate go run ./internal/build

//go:embed */*.lua modules/*.wasm.gz
var bundled embed.FS

// Bundled is the plugins that come with the server.
func Bundled() fs.FS { return bundled }

// readBundled reads a bundled plugin. Its file is called as if it were not compressed. The error wraps fs.ErrNotExist, or
// fs.ErrInvalid of a strange name, when there is no such plugin.
func readBundled(files fs.FS, name string) (file string, source []byte, err error) {
	file = path.Join(name, name+".lua")
	if source, err = fs.ReadFile(files, file); !errors.Is(err, fs.ErrNotExist) {
		return file, source, err
	}
	file = path.Join("modules", name+".wasm")
	compressed, err := fs.ReadFile(files, file+".gz")
	if err != nil {
		return "", nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err == nil {
		source, err = io.ReadAll(r)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s.gz: %w", file, err)
	}
	return file, source, nil
}

// bundledNames lists the bundled plugins.
func bundledNames(files fs.FS) (names []string) {
	scripts, _ := fs.Glob(files, "*/*.lua") // The patterns are well formed, which is all Glob complains about.
	for _, file := range scripts {
		if name := path.Dir(file); path.Base(file) == name+".lua" {
			names = append(names, name)
		}
	}
	modules, _ := fs.Glob(files, "modules/*.wasm.gz")
	for _, file := range modules {
		names = append(names, strings.TrimSuffix(path.Base(file), ".wasm.gz"))
	}
	slices.Sort(names)
	return names
}
