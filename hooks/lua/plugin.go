package lua

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks/host"
)

// maxSource is the longest file, in bytes, that is loaded.
const maxSource = 1 << 20

// Options says how a file becomes a plugin. The zero value is fine.
type Options struct {
	Name      string         // Default: the file's name without its ending.
	Config    map[string]any // What the script sees as config.
	Instances int            // Calls that run at the same time; 0: twice GOMAXPROCS.
	Logger    *slog.Logger   // Takes the script's log lines; nil: none.

	Services *host.Services // What stands behind the functions of the server; nil: those that need no right are there.
	Rights   host.Rights    // What of them it may use.
}

// Plugin is a loaded file. It implements every hook of package hooks and wants those the file defines.
type Plugin struct {
	host.Plugged[*instance]

	pool *host.Pool[*instance]
	host *host.Plugin
}

// Load reads, compiles and checks a file. Mistakes in it are errors that begin with "file:line: ".
func Load(path string, o Options) (*Plugin, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	return LoadSource(path, source, o)
}

// LoadSource is Load for a file that was read already. path names it in errors.
func LoadSource(path string, source []byte, o Options) (*Plugin, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxSource)
	}
	if o.Name == "" {
		o.Name = strings.TrimSuffix(filepath.Base(path), ".lua")
	}
	if o.Instances <= 0 {
		o.Instances = 2 * runtime.GOMAXPROCS(0)
	}
	program, err := compile(path, source)
	if err != nil {
		return nil, err
	}
	log := host.NewLog(o.Logger, o.Name)
	h, err := host.NewPlugin(o.Services, o.Name, o.Rights, log)
	if err != nil {
		return nil, located(path, err)
	}
	create := func() (*instance, error) { return newInstance(program, h, log, o.Config) }
	first, err := create()
	if err != nil {
		return nil, located(path, err)
	}
	if err := checkHooks(path, program, first); err != nil {
		first.Close()
		return nil, err
	}
	hash := sha256.Sum256(source)
	var defined [host.Seats]bool
	for seat, f := range first.hooks {
		defined[seat] = f != nil
	}
	pool := host.NewPool(o.Instances, first, create)
	return &Plugin{Plugged: host.Plug(o.Name, hex.EncodeToString(hash[:]), defined, pool), pool: pool, host: h}, nil
}

// located makes sure that an error names its file.
func located(path string, err error) error {
	if strings.HasPrefix(err.Error(), path+":") {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// checkHooks refuses a file whose hooks would silently never be called.
func checkHooks(path string, p *program, in *instance) error {
	known := make([]string, host.Seats)
	for i, s := range host.Seating {
		known[i] = s.Function
	}
	var errs []error
	for _, name := range in.globals() {
		if slices.Contains(known, name) {
			if _, ok := in.l.GetGlobal(name).(*lua.LFunction); !ok {
				errs = append(errs, fmt.Errorf("%s: %s is a %s, not a function", path, name, in.l.GetGlobal(name).Type()))
			}
			continue
		}
		if strings.HasPrefix(name, "on_") || slices.Contains(known, hookLike(name)) {
			errs = append(errs, fmt.Errorf("%s: there is no hook %s%s; the hooks are %s", path, name,
				host.DidYouMean(hookLike(name), known), strings.Join(known, ", ")))
		}
	}
	for seat, name := range known {
		if line, local := p.locals[name]; local && in.hooks[seat] == nil {
			errs = append(errs, fmt.Errorf("%s:%d: %s is a local function, which the server cannot call; drop the word local",
				path, line, name))
		}
	}
	if errs == nil && in.hooks == [host.Seats]*lua.LFunction{} {
		return fmt.Errorf("%s: defines no hook; the hooks are %s", path, strings.Join(known, ", "))
	}
	return errors.Join(errs...)
}

// hookLike is a name the way a hook would be spelled: onPublish becomes on_publish.
func hookLike(name string) string {
	plain := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	if rest, ok := strings.CutPrefix(plain, "on"); ok {
		return "on_" + rest
	}
	return name
}

// Close destroys the instances. A call that is still running ends first.
func (p *Plugin) Close() error {
	p.pool.Close()
	p.host.Close()
	return nil
}
