package join

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// keepUnused is how long a file stays that nobody has used: an agent may go back to an older plugin.
const keepUnused = 7 * 24 * time.Hour

// cache keeps plugins' files by their hash, so that a worker that starts again need not fetch them. Several workers may share the
// directory. That it cannot be read or written costs time and nothing else.
type cache struct {
	dir string // Empty: nothing is kept.
	log *slog.Logger
}

// get returns the bytes that have the hash, or nil.
func (c *cache) get(hash string) []byte {
	if c.dir == "" {
		return nil
	}
	path := filepath.Join(c.dir, hash)
	b, err := os.ReadFile(path) //nolint:gosec // A hash was checked to be one.
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("a plugin that was kept cannot be read; it is fetched again", "file", path, "error", err)
		}
		return nil
	}
	if hashOf(b) != hash {
		c.log.Warn("a plugin that was kept has been damaged; it is fetched again", "file", path)
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // Only so that it is not swept away.
	return b
}

// put keeps bytes that have the hash. Whoever reads the file sees all of them or none.
func (c *cache) put(hash string, b []byte) {
	if c.dir == "" {
		return
	}
	if err := c.write(hash, b); err != nil {
		c.log.Warn("a plugin cannot be kept; it will be fetched again after the next start", "dir", c.dir, "error", err)
	}
}

func (c *cache) write(hash string, b []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, "new-*") // Readable by its owner alone.
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, hash))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// sweep removes what has not been used for long, and what a crash has left half written.
func (c *cache) sweep() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return // Nothing is there, or get and put have told.
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > keepUnused {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // Another worker may have been faster.
		}
	}
}
