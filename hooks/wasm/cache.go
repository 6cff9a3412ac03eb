package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptEntries is how many modules stay in the cache: those in use, and some that a rollback may want again.
const keptEntries = 32

// cacheEntry is the folder for one module's compiled code. Its time is that of the last use.
func cacheEntry(dir string, binary []byte) string {
	hash := sha256.Sum256(binary)
	return filepath.Join(dir, hex.EncodeToString(hash[:]))
}

// filled says that an entry has the compiled code. The engine makes a directory there for its version before it compiles, and writes into
// it at the end.
func filled(entry string) bool {
	versions, err := os.ReadDir(entry)
	for _, v := range versions {
		files, unread := os.ReadDir(filepath.Join(entry, v.Name()))
		if unread != nil || len(files) == 0 {
			return false
		}
	}
	return err == nil && len(versions) > 0
}

// used notes that an entry is in use. A failure costs at most that it is compiled again some day.
func used(entry string) {
	now := time.Now()
	_ = os.Chtimes(entry, now, now)
}

// Prune removes from a cache of compiled code what was not used for the longest time: all but the last few modules. Other processes may
// be using the cache.
func Prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []fs.FileInfo
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil: // Another process has removed it.
		case len(e.Name()) == 2*sha256.Size && strings.Trim(e.Name(), "0123456789abcdef") == "":
			kept = append(kept, info)
		case strings.HasPrefix(e.Name(), "wazero-"): // From before there were folders for modules.
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range kept[min(len(kept), keptEntries):] {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, info.Name())))
	}
	return errors.Join(errs...)
}
