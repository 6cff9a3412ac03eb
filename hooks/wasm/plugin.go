package wasm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm/meter"
)

// The limits of a plugin when its Options do not say.
const (
	DefaultMemory  = 16 << 20 // Of each instance, in bytes.
	DefaultMaxSize = 16 << 20 // Of the file, in bytes.
)

const pageSize = 64 << 10

// Options says how a file becomes a plugin. The zero value is fine.
type Options struct {
	Name      string         // Default: the file's name without its ending.
	Config    map[string]any // What the plugin reads as the field config.
	Instances int            // Calls that run at the same time; 0: twice GOMAXPROCS.
	Memory    int64          // Most bytes of memory of one instance; 0: DefaultMemory.
	MaxSize   int64          // Longest file, in bytes; 0: DefaultMaxSize.
	Cache     string         // Directory that keeps compiled code, which Prune keeps small; empty: none. Who can write there can run code in the server.
	Logger    *slog.Logger   // Takes the plugin's log lines; nil: none.
	Compiling func() func()  // Called before machine code is made, which takes seconds, and what it returns after; nil: nobody wants to know.

	Services *host.Services // What stands behind the functions of the server; nil: those that need no right are there.
	Rights   host.Rights    // What of them it may use.
}

// Plugin is a loaded file. It implements every hook of package hooks and wants those the file exports.
type Plugin struct {
	host.Plugged[*instance]

	close func() error
}

// code is what instances are made of.
type code struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil: none.
	compiled wazero.CompiledModule
	config   []byte // JSON.
	loaded   time.Time
	log      *host.Log
	host     *host.Plugin
}

// Load reads, checks, meters and compiles a file and makes a first instance, all of which takes up to some seconds. When ctx ends, it
// gives up before it compiles the next function of the module. Errors begin with the path.
func Load(ctx context.Context, path string, o Options) (*Plugin, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	binary, err := io.ReadAll(io.LimitReader(f, cmp.Or(o.MaxSize, DefaultMaxSize)+1))
	if err != nil {
		return nil, err
	}
	return LoadSource(ctx, path, binary, o)
}

// LoadSource is Load for a file that was read already. path names it in errors.
func LoadSource(ctx context.Context, path string, binary []byte, o Options) (*Plugin, error) {
	p, err := load(ctx, path, binary, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func load(ctx context.Context, path string, binary []byte, o Options) (*Plugin, error) {
	if most := cmp.Or(o.MaxSize, DefaultMaxSize); int64(len(binary)) > most {
		return nil, fmt.Errorf("the module is longer than %d bytes", most)
	}
	o.Name = cmp.Or(o.Name, strings.TrimSuffix(filepath.Base(path), ".wasm"))
	if o.Instances <= 0 {
		o.Instances = 2 * runtime.GOMAXPROCS(0)
	}
	pages := uint32(min(max(cmp.Or(o.Memory, DefaultMemory)/pageSize, 1), 1<<16)) //nolint:gosec // At most 1<<16.
	metered, err := meter.Instrument(binary, pages)
	if err != nil {
		return nil, err
	}
	if err := check(metered, pages); err != nil {
		return nil, err
	}
	c := &code{loaded: time.Now(), log: host.NewLog(o.Logger, o.Name), config: []byte("{}")}
	if len(o.Config) > 0 {
		if c.config, err = json.Marshal(o.Config); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	if c.host, err = host.NewPlugin(o.Services, o.Name, o.Rights, c.log); err != nil {
		return nil, err
	}
	if err := c.compile(ctx, metered.Binary, pages, o); err != nil {
		return nil, err
	}
	create := func() (*instance, error) {
		in, err := newInstance(c)
		if err == nil {
			c.host.Instances(+1)
		}
		return in, err
	}
	first, err := create()
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	hash := sha256.Sum256(binary)
	var exported [host.Seats]bool
	for seat, f := range first.hooks {
		exported[seat] = f != nil
	}
	pool := host.NewPool(o.Instances, first, create)
	p := &Plugin{Plugged: host.Plug(o.Name, hex.EncodeToString(hash[:]), exported, pool)}
	p.close = sync.OnceValue(func() error {
		pool.Close()
		c.host.Close()
		return c.close()
	})
	return p, nil
}

// compile makes machine code of the metered module, or finds it in the cache.
func (c *code) compile(ctx context.Context, binary []byte, pages uint32, o Options) error {
	if o.Compiling == nil {
		o.Compiling = func() func() { return func() {} }
	}
	// With a single worker the engine does not look whether ctx has ended.
	ctx = experimental.WithCompilationWorkers(ctx, max(runtime.GOMAXPROCS(0), 2))
	if o.Cache != "" {
		entry := cacheEntry(o.Cache, binary)
		err := c.tryCompile(ctx, binary, pages, entry, o.Compiling)
		if err == nil {
			used(entry)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		c.log.Write(slog.LevelWarn, "the cache of compiled code cannot be used: "+o.Cache)
	}
	return c.tryCompile(ctx, binary, pages, "", o.Compiling)
}

func (c *code) tryCompile(ctx context.Context, binary []byte, pages uint32, entry string, compiling func() func()) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	// No function of wazero's own is needed: loops are ended by the meter, files and clocks are the host module's matter.
	config := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(pages)
	if entry != "" {
		if err := os.MkdirAll(entry, 0o700); err != nil {
			return err
		}
		if c.cache, err = wazero.NewCompilationCacheWithDir(entry); err != nil {
			return err
		}
		config = config.WithCompilationCache(c.cache)
	}
	c.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := offer(ctx, c.runtime); err != nil {
		return err
	}
	done := func() {}
	if entry == "" || !filled(entry) {
		done = compiling()
	}
	if c.compiled, err = c.runtime.CompileModule(ctx, binary); err == nil {
		done()
	}
	return err
}

func (c *code) close() error {
	var errs []error
	if c.runtime != nil {
		errs = append(errs, c.runtime.Close(context.Background()))
	}
	if c.cache != nil {
		errs = append(errs, c.cache.Close(context.Background()))
	}
	c.runtime, c.cache = nil, nil
	return errors.Join(errs...)
}

// Close waits for running calls, destroys the instances and frees the code.
func (p *Plugin) Close() error { return p.close() }
