package host

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Hosts says which web servers a plugin may ask.
type Hosts struct {
	names    []hostName
	networks []netip.Prefix
}

// hostName is one entry that is not a network.
type hostName struct {
	name string // In lower case, or an address.
	sub  bool   // Only names below it.
	port string // Empty: the scheme's own.
}

// ParseHosts reads a list whose entries are
//
//	api.example.com        this host, on the port that https and http have by themselves
//	api.example.com:8443   on this port
//	*.example.com          every host below example.com, not itself; with a port too
//	192.0.2.7:8080         an address; [2001:db8::7]:8080 of the other kind
//	10.0.0.0/8             all addresses of a network, on every port
//
// A name may lead only to public addresses. Where it leads to one of this machine or of a private network, that address, or a network it
// is in, must be listed too; the name localhost stands for the machine itself.
func ParseHosts(list []string) (*Hosts, error) {
	h := &Hosts{}
	for _, text := range list {
		if strings.Contains(text, "/") {
			network, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%q: want a host, such as example.com, *.example.com or example.com:8080, or a network such as 10.0.0.0/8", text)
			}
			h.networks = append(h.networks, network.Masked())
			continue
		}
		name, err := parseHost(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		h.names = append(h.names, name)
	}
	return h, nil
}

func parseHost(text string) (hostName, error) {
	rest, sub := strings.CutPrefix(text, "*.")
	u, err := url.Parse("//" + rest)
	if err != nil || rest == "" || u.Host != rest || u.Hostname() == "" {
		return hostName{}, errors.New("want a host, such as example.com, *.example.com or example.com:8080")
	}
	name := hostName{name: canonicalHost(u.Hostname()), sub: sub, port: u.Port()}
	_, notAddress := netip.ParseAddr(name.name)
	switch port, err := strconv.ParseUint(name.port, 10, 16); {
	case name.name == "":
		return hostName{}, errors.New("want a host, such as example.com, *.example.com or example.com:8080")
	case name.port != "" && (err != nil || port == 0), strings.HasSuffix(rest, ":"):
		return hostName{}, errors.New("the port must be 1 to 65535")
	case notAddress != nil && strings.Trim(name.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return hostName{}, errors.New("a host has letters, digits, - and . only; an international name is written as xn--…, a * stands at the beginning, before a dot")
	case notAddress == nil && sub:
		return hostName{}, errors.New("there is nothing below an address; write a network, such as 10.0.0.0/8")
	}
	return name, nil
}

// canonicalHost makes different spellings of a name one.
func canonicalHost(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Unmap().String()
	}
	return name
}

// Allow says whether a URL's host is listed.
func (h *Hosts) Allow(u *url.URL) bool {
	name, port := canonicalHost(u.Hostname()), portOf(u)
	for _, entry := range h.names {
		same := name == entry.name
		if entry.sub {
			same = strings.HasSuffix(name, "."+entry.name)
		}
		if same && (port == entry.port || entry.port == "" && port == defaultPort(u.Scheme)) {
			return true
		}
	}
	address, err := netip.ParseAddr(name)
	return err == nil && h.inNetwork(address)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func (h *Hosts) inNetwork(address netip.Addr) bool {
	for _, network := range h.networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// AllowAddress says whether the address that a listed host has turned out to have may be connected to.
func (h *Hosts) AllowAddress(host string, address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	host = canonicalHost(host)
	for _, entry := range h.names {
		if entry.name == address.String() || entry.name == "localhost" && host == "localhost" && address.IsLoopback() {
			return true
		}
	}
	return h.inNetwork(address) || public(address)
}

// notPublic are addresses that mean something else in every network, besides those that netip knows (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// public says whether an address is one of the internet.
func public(address netip.Addr) bool {
	if !address.IsGlobalUnicast() || address.IsPrivate() { // Loopback, link-local, multicast and so on are no global unicast.
		return false
	}
	for _, network := range notPublic {
		if network.Contains(address) {
			return false
		}
	}
	return true
}
