package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// The limits of requests to web servers.
const (
	maxRequests  = 32      // Of a plugin at the same time. More wait until their deadline.
	maxBody      = 1 << 20 // Bytes, of requests and of answers.
	maxHeaders   = 32 << 10
	maxURL       = 8 << 10
	maxRedirects = 5
	idleTimeout  = 90 * time.Second
)

// web is a plugin's client of web servers. Its connections are its own: no other plugin, which may have other rights, gets to use them.
type web struct {
	hosts     *Hosts
	slots     chan struct{}
	transport *http.Transport
	client    *http.Client
}

func newWeb(hosts *Hosts) *web {
	w := &web{hosts: hosts, slots: make(chan struct{}, maxRequests)}
	w.transport = &http.Transport{
		// No proxy: what it would connect to could not be seen.
		DialContext: w.dial, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: maxRequests, MaxIdleConns: 2 * maxRequests, MaxConnsPerHost: maxRequests,
		IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHeaders,
	}
	w.client = &http.Client{Transport: w.transport, CheckRedirect: w.redirect}
	return w
}

func (w *web) close() { w.transport.CloseIdleConnections() }

// dial connects to a host that is listed, and looks at the address that its name has led to, right before connecting to it: a name
// may lead elsewhere the next time it is asked for.
func (w *web) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		if !w.hosts.AllowAddress(host, target.Addr()) {
			return failure("%s leads to %s, which is not a public address; allow.http would have to list that too", host, target.Addr().Unmap())
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// redirect follows within the same host only: what another host does with the request was not the plugin's intention.
func (w *web) redirect(next *http.Request, before []*http.Request) error {
	last := before[len(before)-1].URL
	if len(before) > maxRedirects || next.URL.Scheme != last.Scheme || canonicalHost(next.URL.Hostname()) != canonicalHost(last.Hostname()) ||
		portOf(next.URL) != portOf(last) {
		return http.ErrUseLastResponse // The plugin sees the status and where it would lead.
	}
	return nil
}

func httpRequest(ctx context.Context, p *Plugin, c *Call) error {
	request, err := p.web.request(ctx, c)
	if err != nil {
		return err
	}
	select {
	case p.web.slots <- struct{}{}:
		defer func() { <-p.web.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	response, err := p.web.client.Do(request)
	if err != nil {
		return webFailure(err)
	}
	defer response.Body.Close() //nolint:errcheck // It was read, or is of no interest.
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return webFailure(err)
	}
	if len(body) > maxBody {
		return failure("the answer is longer than %d bytes", maxBody)
	}
	headers, err := json.Marshal(answerHeaders(response.Header))
	if err != nil {
		return err
	}
	c.Results[0].Int, c.Results[1].Text, c.Results[2].Text = int64(response.StatusCode), string(headers), string(body)
	return nil
}

// webFailure makes a sentence for the plugin. What keeps a request from being made is for whoever runs the plugin to know.
func webFailure(err error) error {
	if f, ok := errors.AsType[Failure](err); ok {
		return f
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // Around it is the URL, which may hold a key.
	}
	return Failure(err.Error())
}

// request makes a request of what the plugin gave.
func (w *web) request(ctx context.Context, c *Call) (*http.Request, error) {
	method, address, headers, body := c.Args[0].Text, c.Args[1].Text, c.Args[2].Text, c.Args[3].Text
	switch {
	case len(method) > 20:
		return nil, failure("the method is longer than 20 bytes")
	case len(address) > maxURL:
		return nil, failure("the URL is longer than %d bytes", maxURL)
	case len(headers) > maxHeaders:
		return nil, failure("the headers are longer than %d bytes", maxHeaders)
	case len(body) > maxBody:
		return nil, failure("the body is longer than %d bytes", maxBody)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, failure("this is no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, failure("the URL must begin with https:// or http:// and a host")
	case !w.hosts.Allow(u):
		return nil, failure("allow.http does not list %.300s, port %s", u.Hostname(), portOf(u))
	}
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, failure("%q is no method", method)
	}
	fields, err := texts(headers)
	if err != nil {
		return nil, failure("the headers are not a JSON object of texts")
	}
	r.Header.Set("User-Agent", "zenconn")
	for name, value := range fields {
		if slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) {
			return nil, failure("the header %s cannot be set", http.CanonicalHeaderKey(name))
		}
		r.Header.Set(name, value)
	}
	return r, nil
}

// ownHeaders are those that follow from the request, or are about the connection, which is shared.
var ownHeaders = []string{"Host", "Connection", "Content-Length", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Expect"}

func answerHeaders(h http.Header) map[string]string {
	fields := make(map[string]string, len(h))
	for name, values := range h {
		fields[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\ufffd")
	}
	return fields
}

// texts reads a JSON object of texts; nothing is an empty one.
func texts(object string) (map[string]string, error) {
	if object == "" {
		return nil, nil
	}
	if !utf8.ValidString(object) {
		return nil, errors.New("not UTF-8")
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(object), &fields); err != nil {
		return nil, fmt.Errorf("not an object of texts: %w", err)
	}
	return fields, nil
}
