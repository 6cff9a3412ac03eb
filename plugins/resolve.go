package plugins

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// Resolve reads the plugins of the ordered list, then the *.lua and *.wasm files directly in the directory by name, except those the
// list has already. A directory that does not exist is empty. All that is wrong is reported at once; whether a plugin's code is
// right, only Links finds out.
func Resolve(cfg config.Plugins, bundled fs.FS) ([]Bundle, error) {
	bundles, err := resolve(cfg, bundled)
	if err != nil {
		return nil, err
	}
	return bundles, nil
}

// resolve returns what it could resolve beside what is wrong with the rest.
func resolve(cfg config.Plugins, bundled fs.FS) ([]Bundle, error) {
	r := resolver{cfg: cfg, bundled: bundled, names: map[string]string{}}
	for i, entry := range cfg.Load {
		r.add(fmt.Sprintf("plugins.load[%d]", i), entry)
	}
	r.addDirectory(cfg.Dir)
	return r.bundles, errors.Join(r.errs...)
}

type resolver struct {
	cfg     config.Plugins
	bundled fs.FS

	bundles []Bundle
	errs    []error
	names   map[string]string // Where each name was seen first.
	files   []fs.FileInfo     // Read from disk.
}

func (r *resolver) fail(key string, err error) {
	r.errs = append(r.errs, fmt.Errorf("%s: %w", key, err))
}

// add resolves one entry. key is where it stands in the configuration.
func (r *resolver) add(key string, entry config.Plugin) {
	failOpen, err := failsOpen(cmp.Or(entry.OnError, r.cfg.OnError))
	if err != nil {
		r.fail(key, err)
	}
	file, source, err := r.read(entry)
	if err != nil {
		r.fail(key, err)
		return
	}
	name := cmp.Or(entry.Name, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	if first, taken := r.names[name]; taken {
		r.fail(key, fmt.Errorf("there is already a plugin called %s (%s); give one of them another name", name, first))
		return
	}
	r.names[name] = key
	keys, err := readKeys(entry.Keys)
	if err != nil {
		r.fail(key, err)
	}
	hash := sha256.Sum256(source)
	r.bundles = append(r.bundles, Bundle{
		Key: key, Name: name, File: file, Hash: hex.EncodeToString(hash[:]), Source: source, Config: entry.Config,
		Deadline: cmp.Or(entry.Deadline, r.cfg.Deadline), FailOpen: failOpen, Breaker: r.breaker(entry.Breaker),
		Memory: cmp.Or(entry.Memory, r.cfg.Memory), MaxSize: r.cfg.MaxSize,
		Rights: host.Rights{
			KV: entry.Allow.KV, HTTP: entry.Allow.HTTP, Publish: entry.Allow.Publish, Unsubscribe: entry.Allow.Unsubscribe,
			Disconnect: entry.Allow.Disconnect, JWT: entry.Allow.JWT, Password: entry.Allow.Password, Keys: keys,
		},
	})
}

// readKeys reads those keys that are in files. Whether they are any good, the runtimes find out.
func readKeys(keys []config.Key) (map[string]host.Key, error) {
	var all map[string]host.Key
	var errs []error
	for _, k := range keys {
		if k.PEM != "" && !strings.Contains(k.PEM, "-----BEGIN ") {
			content, err := os.ReadFile(k.PEM)
			if err != nil {
				if failed, ok := errors.AsType[*fs.PathError](err); ok {
					err = failed.Err // The rest is the path, which may be a secret in the wrong place.
				}
				errs = append(errs, fmt.Errorf("keys: the pem of %s is not PEM text, and is no file that can be read: %w", k.Name, err))
				continue
			}
			k.PEM = string(content)
		}
		if all == nil {
			all = make(map[string]host.Key, len(keys))
		}
		all[k.Name] = host.Key{Algorithm: k.Algorithm, Secret: k.Secret, PEM: k.PEM}
	}
	return all, errors.Join(errs...)
}

// endings are those of plugins.
var endings = []string{".lua", ".wasm"}

// breaker is an entry's, with the common values where it says nothing.
func (r *resolver) breaker(own config.Breaker) hooks.Breaker {
	common := r.cfg.Breaker
	return hooks.Breaker{
		Faults: cmp.Or(own.Faults, common.Faults), Window: cmp.Or(own.Window, common.Window), Cooldown: cmp.Or(own.Cooldown, common.Cooldown),
	}
}

func failsOpen(onError string) (bool, error) {
	switch onError {
	case "", "deny":
		return false, nil
	case "allow":
		return true, nil
	}
	return false, fmt.Errorf("on_error is %q, want deny or allow", onError)
}

// read finds and reads an entry's file. Without a path, the name means a bundled plugin.
func (r *resolver) read(entry config.Plugin) (file string, source []byte, err error) {
	if entry.Path == "" {
		if entry.Name == "" {
			return "", nil, errors.New("needs a name, of a bundled plugin, or a path")
		}
		file, source, err = readBundled(r.bundled, entry.Name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			return "", nil, fmt.Errorf("no plugin called %q comes with the server (there are: %s); for a file of your own, set path",
				entry.Name, strings.Join(bundledNames(r.bundled), ", "))
		}
		return file, source, err
	}
	if !slices.Contains(endings, filepath.Ext(entry.Path)) {
		return "", nil, fmt.Errorf("%s: plugins are files whose names end in .lua or .wasm", entry.Path)
	}
	info, err := os.Stat(entry.Path)
	if err != nil {
		return "", nil, err
	}
	if filepath.Ext(entry.Path) == ".wasm" && r.cfg.MaxSize > 0 && info.Size() > int64(r.cfg.MaxSize) {
		return "", nil, fmt.Errorf("%s: the module is longer than plugins.max_size, %s", entry.Path, r.cfg.MaxSize)
	}
	source, err = os.ReadFile(entry.Path)
	r.files = append(r.files, info)
	return entry.Path, source, err
}

// addDirectory loads the files directly in dir that the list has not loaded.
func (r *resolver) addDirectory(dir string) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir) // Sorted by name.
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.fail("plugins.dir", err)
		return
	}
	for _, e := range entries {
		if !slices.Contains(endings, filepath.Ext(e.Name())) {
			continue
		}
		file := filepath.Join(dir, e.Name())
		info, err := os.Stat(file)
		if err != nil {
			r.fail("plugins.dir", err)
			continue
		}
		listed := slices.ContainsFunc(r.files, func(other fs.FileInfo) bool { return os.SameFile(info, other) })
		if info.Mode().IsRegular() && !listed {
			r.add("plugins.dir", config.Plugin{Path: file})
		}
	}
}
