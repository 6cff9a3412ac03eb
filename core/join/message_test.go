package join

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// Whatever a bundle gets to hold in future, workers must get too.
func TestAllOfABundleTravels(t *testing.T) {
	want := plugins.Bundle{
		Key: "plugins.dir", Name: "a", File: "a.wasm", Hash: hashOf([]byte("x")), Source: []byte("x"), Config: map[string]any{"n": 1},
		Deadline: time.Second, FailOpen: true, Breaker: hooks.Breaker{Faults: -1, Window: 2, Cooldown: 3}, Memory: 4, MaxSize: 5,
		Rights: host.Rights{KV: true},
	}
	for field, value := range reflect.ValueOf(want).Fields() {
		if value.IsZero() {
			t.Errorf("give the bundle of this test a %s", field.Name)
		}
	}
	b, err := json.Marshal(description{Config: json.RawMessage(`{}`), Plugins: []described{describe(want)}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := decodeDescription(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Plugins[0].bundle(want.Source); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
