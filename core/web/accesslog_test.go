package web_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core/web"
)

func accessLog(t *testing.T, format string, out io.Writer) *web.AccessLog {
	t.Helper()
	l, err := web.NewAccessLog(format, out)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// logged returns the line written for one request.
func logged(t *testing.T, format string, r *http.Request, h http.HandlerFunc) string {
	t.Helper()
	var out bytes.Buffer
	accessLog(t, format, &out).Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	if strings.Count(out.String(), "\n") != 1 || !strings.HasSuffix(out.String(), "\n") {
		t.Fatalf("not one line: %q", out.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func request(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = "192.0.2.7:1234"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

const stamp = `\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`

func TestAccessLogFormats(t *testing.T) {
	known := request("/page?a=1", "Referer", "https://example.com/from", "User-Agent", "Test/1.0", "X-Forwarded-For", "203.0.113.1")
	known.SetBasicAuth("ada", "the password")
	for _, tt := range []struct {
		name, format, want string
		request            *http.Request
		handler            http.HandlerFunc
	}{
		{"combined", "combined", `192\.0\.2\.7 - ada ` + stamp + ` "GET /page\?a=1 HTTP/1\.1" 200 5 "https://example\.com/from" "Test/1\.0"`, known, hello},
		{"common", "common", `192\.0\.2\.7 - ada ` + stamp + ` "GET /page\?a=1 HTTP/1\.1" 200 5`, known, hello},
		{"combined, nothing known", "combined", `192\.0\.2\.7 - - ` + stamp + ` "GET / HTTP/1\.1" 404 0 "-" "-"`, request("/"),
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }},
		{"common, no bytes", "common", `192\.0\.2\.7 - - ` + stamp + ` "GET / HTTP/1\.1" 204 -`, request("/"),
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"nothing answered", "common", `.* 200 -`, request("/"), func(http.ResponseWriter, *http.Request) {}},
		{"an early hint is not the answer", "common", `.* 201 -`, request("/"), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		}},
		{"the path a handler changes", "common", `.* "GET /before HTTP/1\.1" .*`, request("/before"),
			func(_ http.ResponseWriter, r *http.Request) { r.URL.Path = "/after" }},
		{"copied from a reader", "common", `.* 200 5`, request("/"), func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("12345")}); err != nil {
				panic(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := logged(t, tt.format, tt.request, tt.handler); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAccessLogJSON(t *testing.T) {
	r := request("/page?a=1", "User-Agent", "Test/1.0")
	var got map[string]any
	if err := json.Unmarshal([]byte(logged(t, "json", r, hello)), &got); err != nil {
		t.Fatal(err)
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"])); err != nil || time.Since(at) > time.Minute {
		t.Errorf("time %v: %v", got["time"], err)
	}
	if d, ok := got["duration"].(float64); !ok || d < 0 {
		t.Errorf("duration %v", got["duration"])
	}
	delete(got, "time")
	delete(got, "duration")
	want := map[string]any{
		"remote": "192.0.2.7", "method": "GET", "host": "example.com", "path": "/page?a=1", "proto": "HTTP/1.1",
		"status": 200.0, "bytes": 5.0, "user_agent": "Test/1.0",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAccessLogCannotBeForged(t *testing.T) {
	evil := "\"\n127.0.0.1 - root \x1b[31m\\ \u009b\u007f\xff"
	r := request("/", "Referer", evil, "User-Agent", evil)
	r.RequestURI = "/" + evil
	r.Host = evil
	r.SetBasicAuth("a b\n\"", "")
	for _, format := range []string{"combined", "common", "json"} {
		t.Run(format, func(t *testing.T) {
			line := logged(t, format, r, hello)
			for _, c := range line {
				if c < ' ' || c >= 0x7f && c <= 0x9f || format != "json" && c > '~' {
					t.Fatalf("%q holds the character %q", line, c)
				}
			}
			if format == "json" {
				var got map[string]any
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatal(err)
				}
				// What is no UTF-8 has no form in JSON.
				if want := strings.ReplaceAll(evil, "\xff", "\ufffd"); got["user_agent"] != want {
					t.Errorf("user_agent %q, want %q", got["user_agent"], want)
				}
				return
			}
			if quotes := strings.Count(line, `"`); quotes != 2 && quotes != 6 {
				t.Errorf("%d quotes: %s", quotes, line)
			}
			if !strings.Contains(line, ` - a\x20b\x0A\x22 [`) {
				t.Errorf("the user's name: %s", line)
			}
		})
	}
}

func TestAccessLogHidesSecrets(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"/x", "/x"},
		{"/x?", "/x?"},
		{"/x?a=1&b=2", "/x?a=1&b=2"},
		{"/x?token=hush", "/x?token=***"},
		{"/x?a=1&access_token=hush&b=2", "/x?a=1&access_token=***&b=2"},
		{"/x?TOKEN=hush;b=token", "/x?TOKEN=***;b=token"},
		{"/x?%74oken=hush", "/x?%74oken=***"},
		{"/x?token=one&token=two&", "/x?token=***&token=***&"},
		{"/x?token", "/x?token"},
		{"/x?token=a=b?c", "/x?token=***"},
		{"/x?%zztoken=hush", "/x?%zztoken=***"},
		{"/x?api_key=hush&password=hush&client_secret=hush&signature=hush&cf_connect=hush",
			"/x?api_key=***&password=***&client_secret=***&signature=***&cf_connect=***"},
		{"/token=hush?a", "/token=hush?a"},
	} {
		t.Run(tt.target, func(t *testing.T) {
			r := request("/", "Referer", "https://example.com"+tt.target)
			r.RequestURI = tt.target
			if line := logged(t, "combined", r, hello); !strings.Contains(line, `"GET `+tt.want+` HTTP/1.1"`) ||
				!strings.Contains(line, `"https://example.com`+tt.want+`"`) {
				t.Errorf("got %s\nwant %s twice", line, tt.want)
			}
		})
	}
}

// lines is a writer that hands over what one Write brought.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestAccessLogOfAHijackedConnection(t *testing.T) {
	for _, tt := range []struct {
		name string
		take func(http.ResponseWriter) (net.Conn, error)
		want string
	}{
		{"http.ResponseController", func(w http.ResponseWriter) (net.Conn, error) {
			c, _, err := http.NewResponseController(w).Hijack()
			return c, err
		}, " 101 "},
		{"http.Hijacker", func(w http.ResponseWriter) (net.Conn, error) {
			c, _, err := w.(http.Hijacker).Hijack()
			return c, err
		}, " 101 "},
		{"a handshake that failed afterwards", func(w http.ResponseWriter) (net.Conn, error) {
			c, _, err := http.NewResponseController(w).Hijack()
			w.WriteHeader(http.StatusBadRequest)
			return c, err
		}, " 400 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := make(lines, 1)
			srv := httptest.NewServer(accessLog(t, "common", out).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, err := tt.take(w)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
				c.Close()
			})))
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET /connection/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
			if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(answer, "101") {
				t.Fatalf("%q, %v", answer, err)
			}
			if line := <-out; !strings.Contains(line, tt.want) {
				t.Errorf("got %s", line)
			}
		})
	}
}

func TestAccessLogOfAPanic(t *testing.T) {
	var out bytes.Buffer
	h := accessLog(t, "common", &out).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), request("/"))
	}()
	if !strings.Contains(out.String(), `" 500 -`) {
		t.Errorf("got %q", out.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAccessLogFailureBreaksNothing(t *testing.T) {
	l := accessLog(t, "combined", fullDisk{})
	w := httptest.NewRecorder()
	l.Handler(http.HandlerFunc(hello)).ServeHTTP(w, request("/"))
	if w.Body.String() != "hello" || l.Failures() != 1 {
		t.Errorf("answer %q, %d failures counted", w.Body.String(), l.Failures())
	}
}

func TestAccessLogLinesDoNotMix(t *testing.T) {
	var out bytes.Buffer // Not safe for concurrent use: the log has to take care.
	h := accessLog(t, "common", &out).Handler(http.HandlerFunc(hello))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { h.ServeHTTP(httptest.NewRecorder(), request(fmt.Sprintf("/%d", i))) })
	}
	all.Wait()
	if n := strings.Count(out.String(), " 200 5\n"); n != 50 {
		t.Errorf("%d whole lines of 50", n)
	}
}

func TestAccessLogKeepsStreaming(t *testing.T) {
	h := accessLog(t, "common", io.Discard).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("/"))
	if !w.Flushed {
		t.Error("the flush did not arrive")
	}
}

func TestAccessLogOff(t *testing.T) {
	var out bytes.Buffer
	accessLog(t, "off", &out).Handler(http.HandlerFunc(hello)).ServeHTTP(httptest.NewRecorder(), request("/"))
	if out.Len() != 0 {
		t.Errorf("wrote %q", out.String())
	}
	if _, err := web.NewAccessLog("xml", &out); err == nil {
		t.Error("an unknown format is accepted")
	}
}
