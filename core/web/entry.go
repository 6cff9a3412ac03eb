package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// entry is what the log says about one request.
type entry struct {
	request *http.Request
	target  string // The request target as the client wrote it; handlers may change request.URL.
	start   time.Time
	took    time.Duration
	status  int
	bytes   int64 // Of the body.
}

// appendCommon writes the Common Log Format: %h %l %u %t "%r" %>s %b.
func appendCommon(b *bytes.Buffer, e *entry) {
	appendHead(b, e)
	if e.bytes == 0 {
		b.WriteString("-\n")
		return
	}
	fmt.Fprintf(b, "%d\n", e.bytes)
}

// appendCombined writes nginx's predefined format "combined".
func appendCombined(b *bytes.Buffer, e *entry) {
	appendHead(b, e)
	fmt.Fprintf(b, `%d "`, e.bytes)
	appendField(b, masked(e.request.Referer()))
	b.WriteString(`" "`)
	appendField(b, e.request.UserAgent())
	b.WriteString("\"\n")
}

func appendHead(b *bytes.Buffer, e *entry) {
	appendField(b, remoteAddr(e.request))
	b.WriteString(" - ")
	user, _, _ := e.request.BasicAuth()
	// The field stands without quotes: a space would look like the next one.
	var escaped bytes.Buffer
	appendField(&escaped, user)
	b.WriteString(strings.ReplaceAll(escaped.String(), " ", `\x20`))
	b.WriteString(e.start.Format(` [02/Jan/2006:15:04:05 -0700] "`))
	appendField(b, e.request.Method+" "+masked(e.target)+" "+e.request.Proto)
	fmt.Fprintf(b, `" %d `, e.status)
}

// appendField writes what a client said so that it can neither end its field nor its line, nor speak to a terminal: quotes,
// backslashes and everything outside printable ASCII as \xXX, like nginx. Nothing at all is "-".
func appendField(b *bytes.Buffer, s string) {
	if s == "" {
		b.WriteByte('-')
		return
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(b, `\x%02X`, c)
			continue
		}
		b.WriteByte(s[i])
	}
}

// jsonEntry is a line of the format "json".
type jsonEntry struct {
	Time      string  `json:"time"`
	Remote    string  `json:"remote"`
	User      string  `json:"user,omitempty"`
	Method    string  `json:"method"`
	Host      string  `json:"host"`
	Path      string  `json:"path"`
	Proto     string  `json:"proto"`
	Status    int     `json:"status"`
	Bytes     int64   `json:"bytes"`
	Duration  float64 `json:"duration"` // Seconds.
	Referer   string  `json:"referer,omitempty"`
	UserAgent string  `json:"user_agent,omitempty"`
}

func appendJSON(b *bytes.Buffer, e *entry) {
	r := e.request
	user, _, _ := r.BasicAuth()
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(jsonEntry{
		Time: e.start.Format("2006-01-02T15:04:05.000Z07:00"), Remote: remoteAddr(r), User: user,
		Method: r.Method, Host: r.Host, Path: masked(e.target), Proto: r.Proto,
		Status: e.status, Bytes: e.bytes, Duration: e.took.Seconds(),
		Referer: masked(r.Referer()), UserAgent: r.UserAgent(),
	})
	if err != nil { // Strings and numbers always encode.
		panic(err)
	}
	// encoding/json leaves DEL and the C1 control characters as they are, and a terminal obeys them.
	for text := line.Bytes(); len(text) > 0; {
		c, n := utf8.DecodeRune(text)
		if c >= 0x7f && c <= 0x9f {
			fmt.Fprintf(b, `\u%04x`, c)
		} else {
			b.Write(text[:n])
		}
		text = text[n:]
	}
}

// remoteAddr is the peer's address without its port. Headers of proxies are not believed.
func remoteAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // A unix socket.
	}
	return host
}

// masked returns a URL with the values of those query parameters hidden that let their bearer in. The rest stays as it was
// written.
func masked(target string) string {
	before, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	var out strings.Builder
	out.WriteString(before + "?")
	for {
		end := strings.IndexAny(query, "&;#")
		param := query
		if end >= 0 {
			param = query[:end]
		}
		if name, _, hasValue := strings.Cut(param, "="); hasValue && isSecret(name) {
			param = name + "=***"
		}
		out.WriteString(param)
		if end < 0 {
			return out.String()
		}
		out.WriteByte(query[end])
		query = query[end+1:]
	}
}

// isSecret reports whether a query parameter holds something that must not be kept. cf_connect is the connect command, token
// included, of clients that can send nothing but a URL.
func isSecret(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	name = strings.ToLower(name)
	switch name {
	case "auth", "authorization", "jwt", "key", "api_key", "apikey", "signature", "sig", "cf_connect":
		return true
	}
	for _, part := range []string{"token", "secret", "passw"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
