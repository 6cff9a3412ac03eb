package join

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/plugins"
)

// Whatever an agent answers, it is refused, or it names a worker and things that can be fetched.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"version":"1","agent":"u","node":"n","name":"n-1","index":1,"description":"`+hashOf(nil)+`","size":5,"replicas":1}`), 1)
	f.Add([]byte(`{"protocol":1,"refused":"no","later":true}`), 0)
	f.Add([]byte(`{"protocol":2}`), 0)
	f.Add([]byte(`null`), 0)
	f.Fuzz(func(t *testing.T, b []byte, index int) {
		a, err := decodeAnswer(b, index)
		if err != nil || a.Protocol != Protocol || a.Refused != "" {
			return
		}
		if !config.ValidNodeName(a.Name) || a.Index != index || !validHash(a.Description) || a.Size <= 0 || a.Size > maxDescription {
			t.Errorf("accepted %s as %+v", b, a)
		}
	})
}

// Whatever a description holds, it is refused, or its plugins are what could be sent on and is the same.
func FuzzDescription(f *testing.F) {
	c := config.Default()
	g, err := newGeneration(&c, []plugins.Bundle{{Key: "plugins.dir", Name: "a", File: "x/a.lua", Hash: hashOf(nil), Config: map[string]any{"n": 1, "l": []any{1.5, nil}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(g.bytes[g.child])
	f.Add([]byte(`{"plugins":[{"name":"a","file":".wasm","hash":"../x"}]}`))
	f.Add([]byte(`{"plugins":[{"name":"a","file":"a.lua","hash":"` + hashOf(nil) + `","config":{"n":1e999,"m":-0,"o":123456789012345678901234567890}}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDescription(b)
		if err != nil {
			return
		}
		for _, p := range d.Plugins {
			if p.Name == "" || !validHash(p.Hash) || p.Hash != filepath.Base(p.Hash) || p.Size < 0 || p.Size > maxBundle {
				t.Fatalf("accepted %+v", p)
			}
			if got := describe(p.bundle(make([]byte, 0))); got.Hash != p.Hash || got.Deadline != p.Deadline || got.MaxSize != p.MaxSize {
				t.Fatalf("%+v became %+v", p, got)
			}
		}
		_, _ = json.Marshal(d.Plugins) // A number beyond all bounds has no JSON; it must not panic.
		_, _ = config.Import("the agent", d.Config)
	})
}
