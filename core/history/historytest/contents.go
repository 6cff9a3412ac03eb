package historytest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// contents checks that publications come back as they were given.
func contents(t *testing.T, s history.Store) {
	pubs := map[string]*core.Publication{
		"everything": {
			ID: core.NewID(), Data: []byte(`{"text":"tränen, \u0000 und 🙂"}`), Tags: map[string]string{"a": "b", "": "\r\n"}, Time: 1_700_000_000_123,
			Info:     &core.ClientInfo{User: "u\n", Client: "c", ConnInfo: []byte(`{"vip":true}`), ChanInfo: []byte(`{}`)},
			ExpireAt: time.Now().Add(time.Hour).Unix(),
		},
		"little": {ID: core.NewID(), Data: []byte{0}},
		"large":  {ID: core.NewID(), Data: []byte(strings.Repeat("\xff\x00", 100_000))},
	}
	for name, pub := range pubs {
		t.Run(name, func(t *testing.T) {
			pub.Channel = name
			want := *pub
			want.Offset = 1
			if _, err := s.Append(t.Context(), name, pub, hour); err != nil {
				t.Fatal(err)
			}
			got, _, err := s.Read(t.Context(), name, history.Query{Limit: -1})
			if err != nil || len(got) != 1 {
				t.Fatalf("%d publications: %v", len(got), err)
			}
			if !reflect.DeepEqual(*got[0], want) {
				t.Errorf("got  %+v\nwant %+v", *got[0], want)
			}
		})
	}
}

// names checks that no name is mistaken for another.
func names(t *testing.T, s history.Store) {
	all := []string{
		"x", "x.y", "x.*", "x.>", "*", ">", "x y", "x%2Ey", "x%20y", "канал", "🙂", "x.p", "x.0", ".", strings.Repeat(".", 255), strings.Repeat("🙂", 63),
		`"quoted\`, "X",
	}
	for i, name := range all {
		Publish(t, s, name, i%3+1, hour)
	}
	epochs := map[string]bool{}
	for i, name := range all {
		at := Position(t, s, name)
		if at.Offset != uint64(i%3+1) || epochs[at.Epoch] {
			t.Errorf("%.40q is at %v", name, at)
		}
		epochs[at.Epoch] = true
		pubs, _, err := s.Read(t.Context(), name, history.Query{Limit: -1})
		if err != nil || len(pubs) != i%3+1 {
			t.Errorf("%.40q has %d publications: %v", name, len(pubs), err)
		}
		for _, pub := range pubs {
			if pub.Channel != name {
				t.Errorf("%.40q holds a publication of %.40q", name, pub.Channel)
			}
		}
	}
}
