package plugins_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/plugins"
)

// watching is a folder whose plugins are watched.
type watching struct {
	t      *testing.T
	dir    string
	config atomic.Pointer[config.Plugins]
	seen   chan string // Names and sources of the plugins, or the error.
}

func watchFolder(t *testing.T) *watching {
	t.Helper()
	w := &watching{t: t, dir: t.TempDir(), seen: make(chan string, 100)}
	c := config.Default().Plugins
	c.Dir = w.dir
	w.config.Store(&c)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		plugins.Watch(ctx, 20*time.Millisecond, func() config.Plugins { return *w.config.Load() }, plugins.Bundled(), func(bundles []plugins.Bundle, err error) {
			text := ""
			for _, b := range bundles {
				text += fmt.Sprintf("%s=%s ", b.Name, b.Source)
			}
			if err != nil {
				text = "wrong"
			}
			w.seen <- text
		})
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	w.next("")
	return w
}

func (w *watching) next(want string) {
	w.t.Helper()
	select {
	case got := <-w.seen:
		if got != want {
			w.t.Errorf("saw %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		w.t.Fatalf("did not see %q", want)
	}
}

func (w *watching) path(name string) string { return filepath.Join(w.dir, name) }

// write puts a file there as a whole: who writes in steps may stand still between two of them for longer than the watcher waits.
func (w *watching) write(name, content string) {
	w.t.Helper()
	whole := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(whole, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(whole, w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	w := watchFolder(t)
	w.write("a.lua", "1")
	w.next("a=1 ")
	w.write("b.lua", "22")
	w.next("a=1 b=22 ")
	w.write("notes.txt", "not a plugin")
	w.write("a.lua", "3")
	w.next("a=3 b=22 ")
	if err := os.Rename(w.path("b.lua"), w.path("0.lua")); err != nil {
		t.Fatal(err)
	}
	w.next("0=22 a=3 ")
	if err := os.Remove(w.path("a.lua")); err != nil {
		t.Fatal(err)
	}
	w.next("0=22 ")

	listed := *w.config.Load()
	listed.Load = []config.Plugin{{Path: w.path("later.lua"), Keys: []config.Key{{Name: "k", PEM: w.path("key.pem")}}}}
	w.config.Store(&listed)
	w.next("wrong")
	w.write("later.lua", "4")
	w.next("wrong")
	w.write("key.pem", "-----BEGIN X")
	w.next("later=4 0=22 ")
	w.write("key.pem", "-----BEGIN XY")
	w.next("later=4 0=22 ")
}

// A file that is written bit by bit is seen when it is whole.
func TestWatchWaitsForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lua")
	c := config.Default().Plugins
	c.Dir = filepath.Dir(path)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var sizes []int
		running.Go(func() {
			plugins.Watch(ctx, time.Second, func() config.Plugins { return c }, plugins.Bundled(), func(bundles []plugins.Bundle, err error) {
				for _, b := range bundles {
					sizes = append(sizes, len(b.Source))
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range 50 {
			if _, err := f.WriteString("x"); err != nil {
				t.Fatal(err)
			}
			<-time.After(700 * time.Millisecond)
		}
		<-time.After(5 * time.Second)
		cancel()
		running.Wait()
		if !slices.Equal(sizes, []int{50}) {
			t.Errorf("files of %v bytes were seen", sizes)
		}
	})
}
