package web

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/public"
)

// ownPolicy is the Content-Security-Policy of the built-in pages: nothing but what this server itself offers. 'self' in
// connect-src covers ws and wss to the same host (CSP Level 3 §6.7.2.8).
const ownPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

const notFoundPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Not found</title>
<h1>Not found</h1>
<p>There is nothing at this address. <a href="/">Start page</a></p>
`

// Site serves what the configuration says: the built-in pages, or a directory.
type Site struct {
	http.Handler
	root *os.Root // Nil for the built-in pages.
}

// Open prepares a site. A directory that cannot be opened is an error. The owner's own pages get no Content-Security-Policy
// from us, because only he knows what they need.
func Open(c config.Public) (*Site, error) {
	if c.Dir == "" {
		return &Site{Handler: withPolicy(Static(public.Files))}, nil
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the public directory: %w", err)
	}
	return &Site{Handler: Static(root.FS()), root: root}, nil
}

// Close releases the directory. Requests after it are answered with 404.
func (s *Site) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", ownPolicy)
		next.ServeHTTP(w, r)
	})
}

// static serves one file system.
type static struct {
	files  fs.FS
	since  time.Time // Last-Modified of files that have no time of their own.
	hashes cache[string]
	gzips  cache[[]byte]
}

// Static serves the files of a file system to GET and HEAD: index.html for a directory, no listings, nothing whose name begins
// with a dot except /.well-known (RFC 8615). It answers conditional and range requests, and compresses what gains by it.
//
// Files without a modification time, as embed.FS has them, are taken as unchanging. Whether a symbolic link may lead out of a
// directory is for the file system to decide: os.Root refuses, os.DirFS does not.
func Static(files fs.FS) http.Handler {
	return &static{files: files, since: time.Now().Truncate(time.Second)}
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // Keep, but ask each time: the ETag makes that cheap.
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are possible here.", http.StatusMethodNotAllowed)
		return
	}
	name, ok := fileName(r.URL.Path)
	if !ok {
		notFound(w, r)
		return
	}
	if info, err := fs.Stat(s.files, name); err == nil && info.IsDir() {
		if !strings.HasSuffix(r.URL.Path, "/") {
			// Relative links in the page need the slash.
			redirect(w, r, "./"+url.PathEscape(path.Base(name))+"/")
			return
		}
		name = path.Join(name, "index.html")
	} else if strings.HasSuffix(r.URL.Path, "/") {
		notFound(w, r)
		return
	}
	original, ok := s.stat(name)
	if !ok {
		notFound(w, r)
		return
	}
	s.serve(w, r, original)
}

// fileName turns a URL path into a name for fs.FS, or refuses it. Nothing is cleaned: a path that needs cleaning is no link of
// anybody who means well.
func fileName(urlPath string) (string, bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(urlPath, "/"), "/")
	if name == "" {
		return ".", urlPath == "/"
	}
	if !fs.ValidPath(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return "", false
	}
	for i, segment := range strings.Split(name, "/") {
		if strings.HasPrefix(segment, ".") && (i > 0 || segment != ".well-known") {
			return "", false
		}
	}
	return name, true
}

func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		io.WriteString(w, notFoundPage) //nolint:errcheck // The client is gone.
	}
}
