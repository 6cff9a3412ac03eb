package web_test

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/web"
)

//go:embed all:testdata
var embedded embed.FS

// sources are the two kinds of file systems that are served, with the same files.
func sources(t *testing.T) map[string]http.Handler {
	t.Helper()
	files, err := fs.Sub(embedded, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	site := open(t, "testdata")
	return map[string]http.Handler{"embedded": web.Static(files), "directory": site}
}

func open(t *testing.T, dir string) *web.Site {
	t.Helper()
	site, err := web.Open(config.Public{Enabled: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	return site
}

// answer is a response whose body was read.
type answer struct {
	StatusCode int
	Header     http.Header
}

// get asks over real HTTP, because net/http itself refuses or changes some requests before a handler sees them. Headers are
// given as name, value pairs.
func get(t *testing.T, h http.Handler, method, target string, headers ...string) (answer, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = target // As it stands, uncleaned.
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header}, string(body)
}

func TestStaticServesFiles(t *testing.T) {
	for source, h := range sources(t) {
		for _, tt := range []struct{ target, contentType, begins string }{
			{"/", "text/html; charset=utf-8", "<!doctype html>"},
			{"/index.html", "text/html; charset=utf-8", "<!doctype html>"},
			{"/?a=b", "text/html; charset=utf-8", "<!doctype html>"},
			{"/app.js", "text/javascript; charset=utf-8", "// Long enough"},
			{"/folder/", "text/html; charset=utf-8", "<!doctype html>"},
			{"/folder/note.unknown", "application/octet-stream", "<script>"},
			{"/two%20words.txt", "text/plain; charset=utf-8", "two words"},
			{"/.well-known/security.txt", "text/plain; charset=utf-8", "Contact"},
		} {
			t.Run(source+tt.target, func(t *testing.T) {
				res, body := get(t, h, http.MethodGet, tt.target)
				if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, tt.begins) {
					t.Fatalf("got %d %.40q, want 200 %q…", res.StatusCode, body, tt.begins)
				}
				if got := res.Header.Get("Content-Type"); got != tt.contentType {
					t.Errorf("Content-Type %q, want %q", got, tt.contentType)
				}
				for _, name := range []string{"ETag", "Last-Modified"} {
					if res.Header.Get(name) == "" {
						t.Errorf("no %s", name)
					}
				}
				wantHeader(t, res, "X-Content-Type-Options", "nosniff")
				wantHeader(t, res, "Referrer-Policy", "same-origin")
				wantHeader(t, res, "Cache-Control", "no-cache")

				head, body := get(t, h, http.MethodHead, tt.target)
				if head.StatusCode != http.StatusOK || body != "" || head.Header.Get("ETag") != res.Header.Get("ETag") {
					t.Errorf("HEAD: %d, %d bytes, ETag %s", head.StatusCode, len(body), head.Header.Get("ETag"))
				}
			})
		}
	}
}

func wantHeader(t *testing.T, res answer, name, want string) {
	t.Helper()
	if got := res.Header.Get(name); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

func TestStaticRefuses(t *testing.T) {
	for source, h := range sources(t) {
		for _, target := range []string{
			"/missing.html",
			"/empty/",         // A folder without a page: no listing.
			"/index.html/",    // A file is no folder.
			"/.hidden",        // Only .well-known is meant to be seen.
			"/folder/.hidden", //
			"/folder/.well-known/security.txt",
			"/../static.go",
			"/../../../../../../../../etc/passwd",
			"/%2e%2e/static.go",
			"/..%2fstatic.go",
			"/folder/..%2f..%2fstatic.go",
			"/folder/../index.html",
			"/..%5cstatic.go",
			"/folder%5cindex.html",
			"/%252e%252e/static.go",
			"//etc/passwd",
			"/folder//index.html",
			"/./index.html",
			"/index.html%00.txt",
			"/index.html%0a",
		} {
			t.Run(source+target, func(t *testing.T) {
				res, body := get(t, h, http.MethodGet, target)
				if res.StatusCode != http.StatusNotFound || !strings.Contains(body, "There is nothing at this address") {
					t.Errorf("got %d %.60q, want our 404 page", res.StatusCode, body)
				}
				wantHeader(t, res, "Content-Type", "text/html; charset=utf-8")
				if res.Header.Get("ETag") != "" {
					t.Error("the 404 page has an ETag")
				}
			})
		}
	}
}

func TestStaticMethods(t *testing.T) {
	for source, h := range sources(t) {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
			t.Run(source+" "+method, func(t *testing.T) {
				res, _ := get(t, h, method, "/")
				if res.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("status %d", res.StatusCode)
				}
				wantHeader(t, res, "Allow", "GET, HEAD")
			})
		}
	}
}

func TestStaticFolderWithoutSlash(t *testing.T) {
	for source, h := range sources(t) {
		t.Run(source, func(t *testing.T) {
			res, _ := get(t, h, http.MethodGet, "/folder?a=b")
			if res.StatusCode != http.StatusMovedPermanently {
				t.Fatalf("status %d", res.StatusCode)
			}
			wantHeader(t, res, "Location", "./folder/?a=b")
		})
	}
}

func TestStaticConditions(t *testing.T) {
	for source, h := range sources(t) {
		first, _ := get(t, h, http.MethodGet, "/app.js")
		tag, modified := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
		for _, tt := range []struct {
			name, header, value string
			want                int
		}{
			{"same tag", "If-None-Match", tag, http.StatusNotModified},
			{"one of the tags", "If-None-Match", `"other", ` + tag, http.StatusNotModified},
			{"another tag", "If-None-Match", `"other"`, http.StatusOK},
			{"same time", "If-Modified-Since", modified, http.StatusNotModified},
			{"older time", "If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT", http.StatusOK},
			{"must match another", "If-Match", `"other"`, http.StatusPreconditionFailed},
		} {
			t.Run(source+" "+tt.name, func(t *testing.T) {
				res, body := get(t, h, http.MethodGet, "/app.js", tt.header, tt.value)
				if res.StatusCode != tt.want {
					t.Errorf("status %d, want %d", res.StatusCode, tt.want)
				}
				if tt.want != http.StatusOK && body != "" {
					t.Errorf("%d bytes of body", len(body))
				}
			})
		}
	}
}

func TestStaticRanges(t *testing.T) {
	for source, h := range sources(t) {
		whole, text := get(t, h, http.MethodGet, "/app.js")
		for _, tt := range []struct {
			name string
			head []string
			want int
			body string
		}{
			{"first bytes", []string{"Range", "bytes=0-6"}, http.StatusPartialContent, text[:7]},
			{"last bytes", []string{"Range", "bytes=-5"}, http.StatusPartialContent, text[len(text)-5:]},
			{"beyond the end", []string{"Range", "bytes=999999-"}, http.StatusRequestedRangeNotSatisfiable, "invalid range: failed to overlap\n"},
			{"if unchanged", []string{"Range", "bytes=0-6", "If-Range", whole.Header.Get("ETag")}, http.StatusPartialContent, text[:7]},
			{"changed", []string{"Range", "bytes=0-6", "If-Range", `"other"`}, http.StatusOK, text},
			{"identity although gzip is welcome", []string{"Range", "bytes=0-6", "Accept-Encoding", "gzip"}, http.StatusPartialContent, text[:7]},
		} {
			t.Run(source+" "+tt.name, func(t *testing.T) {
				res, body := get(t, h, http.MethodGet, "/app.js", tt.head...)
				if res.StatusCode != tt.want || body != tt.body {
					t.Errorf("got %d %.40q, want %d %.40q", res.StatusCode, body, tt.want, tt.body)
				}
				wantHeader(t, res, "Content-Encoding", "")
			})
		}
	}
}

func TestStaticEncodings(t *testing.T) {
	for source, h := range sources(t) {
		for _, tt := range []struct{ name, target, accept, want string }{
			{"nothing asked", "/app.js", "", ""},
			{"gzip made here", "/app.js", "gzip, deflate, br", "gzip"},
			{"any", "/app.js", "*", "gzip"},
			{"gzip refused", "/app.js", "gzip;q=0", ""},
			{"gzip refused, any other", "/app.js", "gzip; q=0.0, *", ""},
			{"bad weight", "/app.js", "gzip;q=much", ""},
			{"precompressed brotli", "/packed.js", "gzip, br", "br"},
			{"precompressed gzip", "/packed.js", "GZIP;q=0.5", "gzip"},
			{"neither", "/packed.js", "zstd", ""},
			{"too small", "/folder/", "gzip", ""},
			{"not compressible", "/pixel.png", "gzip, br", ""},
		} {
			t.Run(source+" "+tt.name, func(t *testing.T) {
				res, body := get(t, h, http.MethodGet, tt.target, "Accept-Encoding", tt.accept)
				if res.StatusCode != http.StatusOK {
					t.Fatalf("status %d", res.StatusCode)
				}
				wantHeader(t, res, "Content-Encoding", tt.want)
				wantVary := "Accept-Encoding"
				if tt.target == "/pixel.png" {
					wantVary = ""
				}
				wantHeader(t, res, "Vary", wantVary)
				plain, text := get(t, h, http.MethodGet, tt.target)
				wantHeader(t, res, "Content-Type", plain.Header.Get("Content-Type"))
				if same := res.Header.Get("ETag") == plain.Header.Get("ETag"); same != (tt.want == "") {
					t.Errorf("ETag %s, that of the plain file %s", res.Header.Get("ETag"), plain.Header.Get("ETag"))
				}
				switch tt.want {
				case "gzip":
					if unzip(t, body) != text {
						t.Error("the compressed file says something else")
					}
				case "br":
					if body != "brotli, said the build\n" {
						t.Errorf("got %.40q", body)
					}
				case "":
					if body != text {
						t.Error("the file differs")
					}
				}
				again, body := get(t, h, http.MethodGet, tt.target, "Accept-Encoding", tt.accept, "If-None-Match", res.Header.Get("ETag"))
				if again.StatusCode != http.StatusNotModified || body != "" {
					t.Errorf("with its own ETag: %d, %d bytes", again.StatusCode, len(body))
				}
			})
		}
	}
}

func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestManyAtOnce(t *testing.T) {
	files, err := fs.Sub(embedded, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	h := web.Static(files)
	results := make(chan error)
	const n = 16
	for range n {
		go func() {
			r := httptest.NewRequest(http.MethodGet, "/app.js", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			zip, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
			if err == nil {
				_, err = io.Copy(io.Discard, zip)
			}
			if w.Code != http.StatusOK {
				err = fmt.Errorf("status %d", w.Code)
			}
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
