package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

const (
	gzipFrom = 1 << 10 // Below it a compressed answer saves no packet.
	gzipUpTo = 4 << 20 // Above it compression would hold too much memory; put a .gz beside the file.
)

// variant is one way to answer with a file: as it is, or encoded.
type variant struct {
	name     string // In the file system.
	encoding string // Content-Encoding; empty: as it is.
	size     int64
	modified time.Time // Zero: the file never changes.
}

// stat looks a regular file up.
func (s *static) stat(name string) (variant, bool) {
	info, err := fs.Stat(s.files, name)
	if err != nil || !info.Mode().IsRegular() {
		return variant{}, false
	}
	return variant{name: name, size: info.Size(), modified: info.ModTime()}, true
}

// serve answers with the best variant of the file for this client.
func (s *static) serve(w http.ResponseWriter, r *http.Request, original variant) {
	h := w.Header()
	kind := contentType(original.name)
	h.Set("Content-Type", kind.name)
	if !kind.compressible {
		s.send(w, r, original)
		return
	}
	h.Set("Vary", "Accept-Encoding")
	// Ranges count bytes of the file as it is, so that a download can go on whatever the client accepts by then.
	if r.Header.Get("Range") != "" {
		s.send(w, r, original)
		return
	}
	br, gz := accepted(r.Header.Get("Accept-Encoding"))
	if br && s.sendNeighbour(w, r, original, ".br", "br") || gz && s.sendNeighbour(w, r, original, ".gz", "gzip") {
		return
	}
	if gz && original.size >= gzipFrom && original.size <= gzipUpTo && s.sendGzip(w, r, original) {
		return
	}
	s.send(w, r, original)
}

// sendNeighbour answers with the precompressed file beside the original, unless there is none or it is older.
func (s *static) sendNeighbour(w http.ResponseWriter, r *http.Request, original variant, suffix, encoding string) bool {
	v, ok := s.stat(original.name + suffix)
	if !ok || v.modified.Before(original.modified) {
		return false
	}
	v.encoding = encoding
	s.send(w, r, v)
	return true
}

// sendGzip answers with the file compressed here.
func (s *static) sendGzip(w http.ResponseWriter, r *http.Request, v variant) bool {
	tag, err := s.etag(v)
	if err != nil {
		return false
	}
	body, err := s.gzips.get(v.name, tag, func() ([]byte, int64, error) {
		b, err := s.compress(v.name)
		return b, int64(len(b)), err
	})
	if err != nil {
		return false
	}
	v.encoding = "gzip"
	s.sendContent(w, r, v, tag, bytes.NewReader(body))
	return true
}

// send answers with the bytes of a file.
func (s *static) send(w http.ResponseWriter, r *http.Request, v variant) {
	tag, err := s.etag(v)
	if err != nil {
		notFound(w, r)
		return
	}
	f, err := s.files.Open(v.name)
	if err != nil {
		notFound(w, r)
		return
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	content, ok := f.(io.ReadSeeker)
	if !ok {
		http.Error(w, "This file cannot be served.", http.StatusInternalServerError)
		return
	}
	s.sendContent(w, r, v, tag, content)
}

// sendContent answers conditional and range requests too. tag is that of the file; each encoding has its own.
func (s *static) sendContent(w http.ResponseWriter, r *http.Request, v variant, tag string, content io.ReadSeeker) {
	if v.encoding != "" {
		w.Header().Set("Content-Encoding", v.encoding)
		tag = strings.TrimSuffix(tag, `"`) + "-" + v.encoding + `"`
	}
	w.Header().Set("ETag", tag)
	modified := v.modified
	if modified.IsZero() {
		modified = s.since
	}
	http.ServeContent(w, r, "", modified, content)
}

// etag identifies the content of a file: by its hash when it never changes, otherwise by size and time.
func (s *static) etag(v variant) (string, error) {
	if !v.modified.IsZero() {
		return fmt.Sprintf(`"%x-%x"`, v.size, v.modified.UnixNano()), nil
	}
	return s.hashes.get(v.name, "", func() (string, int64, error) {
		f, err := s.files.Open(v.name)
		if err != nil {
			return "", 0, err
		}
		defer f.Close() //nolint:errcheck // Nothing was written.
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return "", 0, err
		}
		return `"` + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15]) + `"`, 0, nil
	})
}

func (s *static) compress(name string) ([]byte, error) {
	f, err := s.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	// The file may have grown since it was looked at.
	if _, err := io.Copy(zip, io.LimitReader(f, 2*gzipUpTo)); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mediaType is what a file's ending says about its content.
type mediaType struct {
	name         string
	compressible bool
}

// contentType does not ask the operating system, whose answers differ from machine to machine, nor the content, so that a file
// somebody uploaded never becomes a page.
func contentType(name string) mediaType {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm":
		return mediaType{"text/html; charset=utf-8", true}
	case ".css":
		return mediaType{"text/css; charset=utf-8", true}
	case ".js", ".mjs":
		return mediaType{"text/javascript; charset=utf-8", true}
	case ".json", ".map":
		return mediaType{"application/json", true}
	case ".webmanifest":
		return mediaType{"application/manifest+json", true}
	case ".svg":
		return mediaType{"image/svg+xml", true}
	case ".txt":
		return mediaType{"text/plain; charset=utf-8", true}
	case ".md":
		return mediaType{"text/markdown; charset=utf-8", true}
	case ".csv":
		return mediaType{"text/csv; charset=utf-8", true}
	case ".xml":
		return mediaType{"application/xml", true}
	case ".wasm":
		return mediaType{"application/wasm", true}
	case ".ico":
		return mediaType{"image/vnd.microsoft.icon", true}
	case ".png":
		return mediaType{"image/png", false}
	case ".jpg", ".jpeg":
		return mediaType{"image/jpeg", false}
	case ".gif":
		return mediaType{"image/gif", false}
	case ".webp":
		return mediaType{"image/webp", false}
	case ".avif":
		return mediaType{"image/avif", false}
	case ".woff":
		return mediaType{"font/woff", false}
	case ".woff2":
		return mediaType{"font/woff2", false}
	case ".ttf":
		return mediaType{"font/ttf", true}
	case ".otf":
		return mediaType{"font/otf", true}
	case ".mp3":
		return mediaType{"audio/mpeg", false}
	case ".mp4":
		return mediaType{"video/mp4", false}
	case ".webm":
		return mediaType{"video/webm", false}
	case ".pdf":
		return mediaType{"application/pdf", false}
	case ".zip":
		return mediaType{"application/zip", false}
	case ".gz":
		return mediaType{"application/gzip", false}
	}
	return mediaType{"application/octet-stream", false}
}
