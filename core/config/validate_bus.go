package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// leastSecret is the length, in bytes, of the shortest secret that others must show.
const leastSecret = 16

func (v *validator) bus(b *Bus) {
	v.require(b.URL == "" || validBusURL(b.URL), "want nats://host:port or tls://host:port, several with commas between them, without user and password: "+
		"those go into bus.user and bus.password", "bus.url")
	v.require(validName.MatchString(b.Prefix), fmt.Sprintf("%q cannot be a prefix: want letters, digits, - and _", b.Prefix), "bus.prefix")
	v.require(b.Replicas == 1 || b.Replicas == 3 || b.Replicas == 5, fmt.Sprintf("want 1, 3 or 5, not %d", b.Replicas), "bus.replicas")
	v.require(b.Replicas == 1 || b.URL != "" || b.Cluster.Listen != "", "one embedded bus keeps one copy: more need bus.url or bus.cluster",
		"bus.replicas", "bus.url", "bus.cluster.listen")
	v.busListener("bus.listen", b.Listen, b)
	v.busListener("bus.cluster.listen", b.Cluster.Listen, b)
	v.busCredentials(b)
	v.busTLS(b)
	v.busCluster(b)
}

func (v *validator) busListener(key, addr string, b *Bus) {
	v.require(addr == "" || validAddr(addr), fmt.Sprintf("want host:port, not %q", addr), key)
	v.require(addr == "" || !validAddr(addr) || loopback(addr) || b.TLS.Cert != "" || b.ListenInsecure,
		fmt.Sprintf("%s is not a loopback address, and what goes over it would not be encrypted: give bus.tls.cert and bus.tls.key, "+
			"or say bus.listen_insecure: true if the network encrypts by itself", addr), key, "bus.tls.cert", "bus.listen_insecure")
	v.require(addr == "" || b.URL == "", "an external bus (bus.url) leaves nothing to listen for", key, "bus.url")
}

func (v *validator) busCredentials(b *Bus) {
	ways, keys := 0, []string{"bus.credentials_file", "bus.user", "bus.token"}
	for _, given := range []string{b.CredentialsFile, b.User, b.Token} {
		if given != "" {
			ways++
		}
	}
	v.require(ways <= 1, "want one of bus.credentials_file, bus.user and bus.token", keys...)
	v.require(b.CredentialsFile == "" && b.User == "" || b.URL != "", "these credentials are for an external bus: set bus.url",
		"bus.credentials_file", "bus.user", "bus.url")
	v.require(b.Token == "" || b.URL != "" || b.Listen != "", "a token is for an external bus or for those who come to bus.listen: set one of them",
		"bus.token", "bus.url", "bus.listen")
	v.require(b.Token == "" || b.URL != "" || b.Listen == "" || len(b.Token) >= leastSecret, fmt.Sprintf("want at least %d characters", leastSecret), "bus.token")
	v.require(b.Password == "" || b.User != "", "a password needs bus.user", "bus.password", "bus.user")
}

func (v *validator) busTLS(b *Bus) {
	listens := b.Listen != "" || b.Cluster.Listen != ""
	v.require((b.TLS.Cert == "") == (b.TLS.Key == ""), "a certificate needs its key, and a key its certificate", "bus.tls.cert", "bus.tls.key")
	v.require(b.TLS == BusTLS{} || b.URL != "" || listens, "nothing is encrypted without bus.url, bus.listen or bus.cluster.listen: set one of them",
		"bus.tls.ca", "bus.tls.cert", "bus.tls.server_name", "bus.url", "bus.listen", "bus.cluster.listen")
	v.require(b.TLS.CA == "" || b.URL != "" || !listens || b.TLS.Cert != "", "who listens needs a certificate of its own: set bus.tls.cert and bus.tls.key",
		"bus.tls.ca", "bus.tls.cert")
	v.require(b.Cluster.Listen == "" || b.TLS.Cert == "" || b.TLS.CA != "", "agents of a cluster check each other's certificates: "+
		"set the authority that signed them", "bus.tls.ca", "bus.tls.cert", "bus.cluster.listen")
}

func (v *validator) busCluster(b *Bus) {
	c := &b.Cluster
	v.require(c.Name == "" || validName.MatchString(c.Name), fmt.Sprintf("%q cannot be a name: want letters, digits, - and _", c.Name), "bus.cluster.name")
	if c.Listen == "" {
		v.require(c.Peers == "" && c.Secret == "", "a cluster of agents needs bus.cluster.listen", "bus.cluster.peers", "bus.cluster.secret", "bus.cluster.listen")
		return
	}
	v.require(len(c.Secret) >= leastSecret, fmt.Sprintf("want a secret of at least %d characters, the same on all agents", leastSecret),
		"bus.cluster.secret", "bus.cluster.listen")
	peers := strings.Split(c.Peers, ",")
	v.require(len(peers) >= 2, "want nats-route://host:port of all agents, this one too, with commas between them", "bus.cluster.peers", "bus.cluster.listen")
	seen := map[string]bool{}
	for _, peer := range peers {
		v.require(c.Peers == "" || validRoute(peer), fmt.Sprintf("want nats-route://host:port without user and password, not %q", withoutUser(peer)),
			"bus.cluster.peers")
		v.require(!seen[peer], fmt.Sprintf("%q is there twice", withoutUser(peer)), "bus.cluster.peers")
		seen[peer] = true
	}
	v.require(len(peers) < 2 || b.Replicas <= len(peers), fmt.Sprintf("%d agents cannot keep %d copies", len(peers), b.Replicas),
		"bus.replicas", "bus.cluster.peers")
}

func validBusURL(list string) bool {
	for text := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(text) // The error would repeat a password.
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.User != nil || u.Path != "" {
			return false
		}
	}
	return true
}

func validRoute(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "nats-route" || u.Hostname() == "" || u.User != nil || u.Path != "" {
		return false
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && port > 0 && port < 1<<16
}

// withoutUser is a URL's text without what may be a password.
func withoutUser(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "…" + text[i:]
	}
	return text
}
