package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"github.com/zenconn/server/core"
)

// gate decides who may use the server API.
type gate struct {
	key      [sha256.Size]byte // Hashed, so that comparing tells nothing about its length.
	keyed    bool
	insecure bool
	foreign  *http.CrossOriginProtection // Keeps pages in a browser of this machine from using an API without a key.
}

func newGate(key string, insecure bool) *gate {
	return &gate{
		key: sha256.Sum256([]byte(key)), keyed: key != "", insecure: insecure, foreign: http.NewCrossOriginProtection(),
	}
}

// refuse returns why a request is refused, with its HTTP status, or nil.
func (g *gate) refuse(r *http.Request) (status int, err *core.Error) {
	switch {
	case g.keyed:
		given := sha256.Sum256([]byte(keyOf(r)))
		if subtle.ConstantTimeCompare(given[:], g.key[:]) != 1 {
			return http.StatusUnauthorized, core.ErrUnauthorized.Saying("send the key of api.key in the header X-API-Key")
		}
	case !g.insecure:
		return http.StatusForbidden, core.ErrNotAvailable.Saying("the server API is closed: set api.key to open it")
	case !onThisMachine(r.Host) || g.foreign.Check(r) != nil:
		return http.StatusForbidden, core.ErrPermissionDenied.Saying("without api.key the server API is for programs on this machine, not for pages")
	}
	return 0, nil
}

// keyOf returns the key that a request brings, or "".
func keyOf(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "apikey") {
		return strings.TrimSpace(key)
	}
	return ""
}

// onThisMachine reports whether a Host header names this machine itself. Another name that leads here is a page's trick (DNS
// rebinding).
func onThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
