package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/bench/launch"
	"github.com/zenconn/server/bench/profile"
)

// profiling is what the flags of bench profile say beyond those of the scenario.
type profiling struct {
	source  profile.Source
	dir     string
	config  string
	workers int
	length  time.Duration
}

// mostFunctions is how many functions are shown.
const mostFunctions = 10

func newBenchProfileCommand(env *environment) *cobra.Command {
	cmd := group("profile", "Run a scenario and write profiles of the server during it")
	cmd.Long = `Runs one of the scenarios and writes profiles of all processes of the server during its measured time: of the processors, of memory,
and of waiting (block, mutex). Then it shows the functions that used the processors most.

It starts a server of its own, which admits everybody, keeps its audit in SQLite and is gone afterwards; --workers and --server-config make
it another one. With --server-api it is a server that runs already, which must have api.pprof: true; then give --url too.`
	cmd.Example = `  zenconn bench profile fanout
  zenconn bench profile channels --rate 5000 --workers 2 --dir before
  zenconn bench profile echo --url ws://10.0.0.1:8000/connection/websocket --server-api http://10.0.0.1:8001 --server-key "$KEY"
  go tool pprof -http=: profiles/*-cpu.pprof            all about it, in a browser`
	for _, s := range benchScenarios {
		var p profiling
		sub := newBenchScenario(env, s, p.run)
		f := sub.Flags()
		f.StringVar(&p.dir, "dir", "profiles", "`DIRECTORY` for the profiles")
		f.StringVar(&p.source.URL, "server-api", "", "`URL` of the server's API, such as http://127.0.0.1:8001; empty: start a server")
		f.StringVar(&p.source.Key, "server-key", "", "`KEY` for the server API (api.key)")
		f.StringVar(&p.config, "server-config", "", "configuration `FILE` of the server that is started")
		f.IntVar(&p.workers, "workers", 0, "worker processes of the server that is started; 0: none")
		f.DurationVar(&p.length, "profile-time", 3*time.Second, "length of the profiles where the scenario does not say how long it takes")
		cmd.AddCommand(sub)
	}
	return cmd
}

func (p *profiling) run(cmd *cobra.Command, env *environment, o bench.Options, oneLine bool, _ func(bench.Progress)) error {
	ctx := cmd.Context()
	given := cmd.Flags().Changed("url")
	switch {
	case p.source.URL == "" && given:
		return usageError("--url is of a server that runs: say where its API is with --server-api")
	case p.source.URL != "" && (p.workers != 0 || p.config != ""):
		return usageError("--workers and --server-config are for a server that is started, which is not the case with --server-api")
	case p.workers < 0:
		return usageError("--workers: want 0 or more")
	case p.dir == "":
		return usageError("--dir: want a directory")
	}
	if p.source.URL == "" {
		server, err := p.start(ctx)
		if err != nil {
			return err
		}
		defer server.stop()
		o.URL, p.source = server.process.URL, profile.Source{URL: server.process.API, Key: launch.Key}
		if runtime.GOOS == "linux" {
			o.PIDs = server.process.PIDs()
		}
		if o.APIURL != "" {
			o.APIURL, o.APIKey = server.process.API, launch.Key
		}
	} else if err := p.source.Check(ctx); err != nil {
		return fmt.Errorf("there will be no profiles from the server API (--server-api, --server-key): %w", err)
	}

	// The profiles are taken beside the run, which must not wait for them.
	collected := make(chan error, 1)
	var files []profile.File
	begun := false
	failed := runBench(cmd, env, o, oneLine, func(progress bench.Progress) {
		if begun || !progress.Measured {
			return
		}
		begun = true
		length := p.length
		if progress.Length > 0 {
			length = max(progress.Length-progress.Elapsed, time.Second)
		}
		go func() {
			var err error
			files, err = p.source.Collect(ctx, p.dir, length)
			collected <- err
		}()
	})
	if !begun {
		return errors.Join(failed, errors.New("the run was over before a profile could be taken: make it longer"))
	}
	if err := <-collected; err != nil {
		failed = errors.Join(failed, fmt.Errorf("the server API at %s gave no profiles: %w", p.source.URL, err))
	}
	if len(files) == 0 {
		return failed
	}
	return errors.Join(failed, showProfiles(env, files))
}

// started is a server that was started for a run.
type started struct {
	process *launch.Process
	dir     string
}

func (s *started) stop() {
	s.process.Stop()
	os.RemoveAll(s.dir) //nolint:errcheck // A leftover in the temporary directory.
}

// start starts this program as a server.
func (p *profiling) start(ctx context.Context) (*started, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the server cannot be started: %w", err)
	}
	dir, err := os.MkdirTemp("", "zenconn-profile-")
	if err != nil {
		return nil, err
	}
	o := launch.Program{
		Path: self, Config: p.config, Dir: dir,
		Args: []string{"--api.pprof=true", "--agent.workers", strconv.Itoa(p.workers)}, Environ: []string{"ZENCONN_API__KEY=" + launch.Key},
	}
	if o.Config == "" {
		o.Config = filepath.Join(dir, "zenconn.yaml")
		if err := os.WriteFile(o.Config, []byte(launch.Open), 0o600); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	process, err := launch.ZenConn(ctx, o)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &started{process, dir}, nil
}

// showProfiles says what was written, and which functions used the processors most, in all processes together.
func showProfiles(env *environment, files []profile.File) error {
	slices.SortFunc(files, func(a, b profile.File) int { return strings.Compare(a.Path, b.Path) })
	var cpu [][]byte
	for _, f := range files {
		if f.Kind == "profile" {
			cpu = append(cpu, f.Profile)
		}
	}
	top, err := profile.NewTop(cpu...)
	if err != nil {
		return err
	}
	out := env.stderr // Standard output is the report's, which may be JSON.
	share := func(d time.Duration) float64 { return 100 * float64(d) / float64(max(top.Total, 1)) }
	fmt.Fprintf(out, "processors: %.2f s in %d processes\n", top.Total.Seconds(), len(cpu))
	fmt.Fprintf(out, "  %8s %6s %8s %6s  %s\n", "itself s", "%", "in all s", "%", "function")
	for _, f := range top.Functions[:min(mostFunctions, len(top.Functions))] {
		fmt.Fprintf(out, "  %8.2f %6.1f %8.2f %6.1f  %s\n", f.Flat.Seconds(), share(f.Flat), f.Cum.Seconds(), share(f.Cum), f.Name)
	}
	for _, f := range files {
		fmt.Fprintf(out, "wrote %s\n", f.Path)
	}
	fmt.Fprintln(out, "more: go tool pprof -http=: FILE, or -top FILE")
	return nil
}
