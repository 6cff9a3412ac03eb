package plugins_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// A plugin has the rights of its entry, in the list, and one of the directory has none.
func TestRightsOfTheEntry(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	const script = `function on_rpc(ev)
		assert(kv.set("k", "v"))
		return true, jwt.sign({sub = "alice"}, "main")
	end`
	dir := directory(t, "listed.lua", script, "other.lua", script,
		"key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	links, err := plugins.Load(t.Context(), config.Plugins{Dir: dir, Load: []config.Plugin{{
		Path: filepath.Join(dir, "listed.lua"), Allow: config.Allow{KV: true, JWT: true},
		Keys: []config.Key{{Name: "main", PEM: filepath.Join(dir, "key.pem")}},
	}}}, plugins.Bundled(), plugins.Options{Services: host.New(host.Options{}), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer hooks.NewChain(links, nil).Close() //nolint:errcheck // Nothing is asserted about it here.
	call := func(link hooks.Link) (string, error) {
		e := &hooks.RPC{}
		_, err := link.Plugin.(hooks.Caller).Call(context.Background(), e)
		return string(e.Reply), err
	}
	if reply, err := call(links[0]); err != nil || strings.Count(reply, ".") != 2 {
		t.Errorf("%q, %v", reply, err)
	}
	if _, err := call(links[1]); err == nil || !strings.Contains(err.Error(), "the plugin other used kv_set without allow.kv") {
		t.Error(err)
	}
}

// What is wrong with rights is said with where it stands, and without what is secret.
func TestRightsThatCannotBeGiven(t *testing.T) {
	dir := directory(t, "a.lua", hook)
	for want, entry := range map[string]config.Plugin{
		`plugins.load[0]: keys: the pem of k is not PEM text, and is no file that can be read: no such file`: {
			Allow: config.Allow{JWT: true}, Keys: []config.Key{{Name: "k", PEM: "geheim"}},
		},
		"keys.k: the secret has 6 bytes": {Allow: config.Allow{JWT: true}, Keys: []config.Key{{Name: "k", Secret: "geheim"}}},
		"keys.k: want a secret or a pem": {Allow: config.Allow{JWT: true}, Keys: []config.Key{{Name: "k"}}},
		`allow.http: "http://a": want a`: {Allow: config.Allow{HTTP: []string{"http://a"}}},
	} {
		entry.Path = filepath.Join(dir, "a.lua")
		_, err := load(t, config.Plugins{Load: []config.Plugin{entry}})
		if err == nil || !strings.HasPrefix(err.Error(), "plugins.load[0]: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
