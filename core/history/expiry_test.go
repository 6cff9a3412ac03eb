package history_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// A publication with an expiry of its own is shown until then, and afterwards neither shown nor missing.
func TestPublicationExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := history.NewMemory(history.Options{})
		start := position(t, s, "a")
		for i := range 5 {
			pub := &core.Publication{Channel: "a", Data: []byte(`{}`)}
			if i%2 == 1 {
				pub.ExpireAt = time.Now().Unix() + int64(i)*10
			}
			if _, err := s.Append(t.Context(), "a", pub, hour); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			after time.Duration
			want  []uint64
		}{{0, []uint64{1, 2, 3, 4, 5}}, {10 * time.Second, []uint64{1, 3, 4, 5}}, {20 * time.Second, []uint64{1, 3, 5}}} {
			<-time.After(step.after)
			if got := read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, step.want) {
				t.Errorf("read %v, want %v", got, step.want)
			}
			backwards := read(t, s, "a", history.Query{Limit: 2, Reverse: true})
			if want := []uint64{5, step.want[len(step.want)-2]}; !slices.Equal(backwards, want) {
				t.Errorf("the newest two are %v, want %v", backwards, want)
			}
			if got := read(t, s, "a", history.Query{Limit: 2}); !slices.Equal(got, step.want[:2]) {
				t.Errorf("the oldest two are %v, want %v", got, step.want[:2])
			}
			if missed, ok := recovers(t, s, "a", start); !ok || !slices.Equal(missed, step.want) {
				t.Errorf("recovered %v (%v), want %v", missed, ok, step.want)
			}
		}
		if at := position(t, s, "a"); at.Offset != 5 {
			t.Errorf("the position is %v", at)
		}
	})
}
