// Package profile takes profiles of a server's processes while it is measured, writes them into a directory, and says which functions
// used the processors most. The server must offer them (api.pprof). It starts no goroutine that outlives a call.
package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Source is the server that is asked.
type Source struct {
	URL string // Of its API, http://…
	Key string
}

// The bounds of one request.
const (
	askTime   = time.Minute      // Beyond the length of a profile.
	checkTime = 30 * time.Second // For finding out whether there are profiles at all.
	maxBody   = 64 << 20
	maxSaid   = 300 // Bytes of a refusal that are shown.
)

// File is a profile that was written.
type File struct {
	Node, Kind string // As net/http/pprof calls it; "profile" is that of the processors.
	Path       string
	Profile    []byte
}

// kinds are the profiles that are taken, with the names of their files.
var kinds = map[string]string{"profile": "cpu", "heap": "heap", "block": "block", "mutex": "mutex"}

// Check says why there will be no profiles, before a server is measured for nothing. It takes one, which costs the server next to nothing.
func (s Source) Check(ctx context.Context) error {
	if u, err := url.Parse(s.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is no URL such as http://127.0.0.1:8001", s.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	nodes, err := s.nodes(ctx)
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, http.MethodGet, "/debug/pprof/heap?"+url.Values{"node": {nodes[0]}}.Encode(), "", checkTime)
	return err
}

// Collect takes the profiles of all nodes at once, of that length from now on, and writes them to dir. The one of the memory is taken
// shortly before the end. What could be had is returned beside an error.
func (s Source) Collect(ctx context.Context, dir string, length time.Duration) ([]File, error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var files []File
	var errs []error
	var asked sync.WaitGroup
	for _, node := range nodes {
		for kind, name := range kinds {
			asked.Go(func() {
				f := File{Node: node, Kind: kind, Path: filepath.Join(dir, fileName(node)+"-"+name+".pprof")}
				err := s.take(ctx, &f, length)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, fmt.Errorf("%s of %s: %w", name, node, err))
					return
				}
				files = append(files, f)
			})
		}
	}
	asked.Wait()
	return files, errors.Join(errs...)
}

// take asks for one profile and writes it.
func (s Source) take(ctx context.Context, f *File, length time.Duration) (err error) {
	query := url.Values{"node": {f.Node}}
	if f.Kind == "heap" {
		select { // What a run needs of memory, it has by then.
		case <-time.After(length * 9 / 10):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	} else {
		query.Set("seconds", strconv.Itoa(max(int(length/time.Second), 1)))
	}
	if f.Profile, err = s.ask(ctx, http.MethodGet, "/debug/pprof/"+f.Kind+"?"+query.Encode(), "", length+askTime); err != nil {
		return err
	}
	return os.WriteFile(f.Path, f.Profile, 0o600)
}

// nodes returns the names of the server's processes.
func (s Source) nodes(ctx context.Context) (names []string, err error) {
	body, err := s.ask(ctx, http.MethodPost, "/api/info", "{}", askTime)
	if err != nil {
		return nil, err
	}
	var info struct {
		Result struct {
			Nodes []struct {
				Name string `json:"name"`
			} `json:"nodes"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("what answers at %s is not ZenConn's API: %w", s.URL, err)
	}
	for _, node := range info.Result.Nodes {
		names = append(names, node.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("what answers at %s does not name its processes: %s", s.URL, said(body))
	}
	return names, nil
}

func (s Source) ask(ctx context.Context, method, path, body string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.URL, "/")+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Close = true
	if s.Key != "" {
		r.Header.Set("X-API-Key", s.Key)
	}
	answer, err := http.DefaultClient.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("nobody answers at %s: %w", s.URL, failed.Err)
	}
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", s.URL, answer.Status, said(text))
	}
	return text, nil
}

// said is the message of a refusal, or what stands in its place.
func said(text []byte) string {
	var refusal struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &refusal); err == nil && refusal.Error.Message != "" {
		return refusal.Error.Message
	}
	return strings.ToValidUTF8(string(bytes.TrimSpace(text[:min(len(text), maxSaid)])), "")
}

// fileName makes a name for files of a node's name, which others have chosen.
func fileName(node string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:`, r) || r < ' ' {
			return '_'
		}
		return r
	}, node)
}
