package host_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks/host"
)

func TestAllowedHosts(t *testing.T) {
	list := []string{"api.example.com", "API.example.net:8443", "*.example.org", "*.sub.example.org:8080", "192.0.2.7", "[2001:db8::7]:80", "10.1.0.0/16", "localhost"}
	h, err := host.ParseHosts(list)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"https://api.example.com/x":          true,
		"http://api.example.com":             true,
		"https://API.Example.COM./":          true,
		"https://api.example.com:443":        true,
		"https://api.example.com:80":         false,
		"http://api.example.com:443":         false,
		"https://api.example.com:8443":       false,
		"https://example.com":                false,
		"https://api.example.com.evil.test":  false,
		"https://evil.test/api.example.com":  false,
		"https://api.example.com@evil.test":  false,
		"https://evil.test#@api.example.com": false,
		"https://api.example.net:8443":       true,
		"https://api.example.net":            false,
		"https://a.example.org":              true,
		"https://a.b.example.org":            true,
		"https://example.org":                false,
		"https://evilexample.org":            false,
		"http://x.sub.example.org:8080":      true,
		"http://x.example.org:8080":          false,
		"http://192.0.2.7":                   true,
		"http://192.0.2.7:81":                false,
		"http://192.0.2.8":                   false,
		"http://[::ffff:192.0.2.7]":          true,
		"http://[2001:db8::7]":               true,
		"http://[2001:db8:0:0::7]:80/":       true,
		"http://[2001:db8::8]":               false,
		"http://10.1.2.3:9999":               true,
		"http://10.2.0.1":                    false,
		"http://localhost":                   true,
		"http://127.0.0.1":                   false,
		"http://0x7f000001":                  false,
		"http://2130706433":                  false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Allow(u); got != want {
			t.Errorf("%s: allowed %v", address, got)
		}
	}
}

func TestMalformedHosts(t *testing.T) {
	for _, bad := range []string{"", "*", "*.", "a*.example.com", "*.*.example.com", "example.com/path", "https://example.com", "user@example.com",
		"example.com:", "example.com:0", "example.com:65536", "example.com:http", "10.0.0.0/33", "*.192.0.2.1", "exämple.com", "a b", "[::1", "::1:80x", "."} {
		if _, err := host.ParseHosts([]string{bad}); err == nil || !strings.Contains(err.Error(), "want") && !strings.Contains(err.Error(), "must") &&
			!strings.Contains(err.Error(), "only") && !strings.Contains(err.Error(), "nothing below") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What a listed name leads to must be on the internet, unless its address is listed as well.
func TestAllowedAddresses(t *testing.T) {
	h, err := host.ParseHosts([]string{"*.example.com", "localhost", "10.1.0.0/16", "192.168.7.7:8080"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host, address string
		want          bool
	}{
		{"a.example.com", "8.8.8.8", true},
		{"a.example.com", "2606:4700::1111", true},
		{"a.example.com", "127.0.0.1", false},
		{"a.example.com", "::1", false},
		{"a.example.com", "::ffff:127.0.0.1", false},
		{"a.example.com", "0.0.0.0", false},
		{"a.example.com", "::", false},
		{"a.example.com", "169.254.169.254", false},
		{"a.example.com", "fe80::1", false},
		{"a.example.com", "fe80::1%eth0", false},
		{"a.example.com", "fd00::1", false},
		{"a.example.com", "10.2.0.1", false},
		{"a.example.com", "::ffff:10.2.0.1", false},
		{"a.example.com", "172.16.0.1", false},
		{"a.example.com", "192.168.0.1", false},
		{"a.example.com", "100.64.0.1", false},
		{"a.example.com", "224.0.0.1", false},
		{"a.example.com", "255.255.255.255", false},
		{"a.example.com", "64:ff9b::7f00:1", false}, // NAT64 of 127.0.0.1.
		{"a.example.com", "2002:7f00:1::", false},   // 6to4 of 127.0.0.1.
		{"a.example.com", "10.1.2.3", true},
		{"a.example.com", "::ffff:10.1.2.3", true},
		{"a.example.com", "192.168.7.7", true},
		{"localhost", "127.0.0.1", true},
		{"localhost", "::1", true},
		{"localhost", "10.2.0.1", false},
	} {
		if got := h.AllowAddress(tt.host, netip.MustParseAddr(tt.address)); got != tt.want {
			t.Errorf("%s at %s: %v", tt.host, tt.address, got)
		}
	}
}

// No entry lets through what its text does not stand for, and nothing panics.
func FuzzHosts(f *testing.F) {
	f.Add("*.example.com:80", "http://a.example.com:80")
	f.Add("10.0.0.0/8", "http://10.0.0.1")
	f.Add("[::1]:80", "http://[::1]")
	f.Fuzz(func(t *testing.T, entry, address string) {
		h, err := host.ParseHosts([]string{entry})
		if err != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil || !h.Allow(u) || strings.Contains(entry, "/") {
			return
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(entry), "*."), ":")
		if !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), strings.TrimSuffix(name, ".")) {
			t.Errorf("%q lets %q through", entry, address)
		}
	})
}
