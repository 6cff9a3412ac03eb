package stored

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// row takes the values of an answer one after the other, and turns what audit.Rows promises into what events have.
type row struct {
	values []any
	next   int
	err    error // The first value that is not what it should be.
}

func (r *row) take() any {
	v := r.values[r.next]
	r.next++
	return v
}

func (r *row) bad(v any, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d of the audit's row holds %.100q (%T), which is not %s", r.next, fmt.Sprint(v), v, want)
	}
}

func (r *row) text() string {
	switch v := r.take().(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		r.bad(v, "text")
		return ""
	}
}

func (r *row) bytes() []byte {
	if text := r.text(); text != "" {
		return []byte(text)
	}
	return nil
}

// time reads a time; the epoch stands for none.
func (r *row) time() time.Time {
	text := r.text()
	t, err := time.ParseInLocation("2006-01-02 15:04:05.000", text, time.UTC)
	if err != nil {
		r.bad(text, "a time")
	}
	if t.UnixMilli() == 0 {
		return time.Time{}
	}
	return t
}

func (r *row) id() core.ID { return r.parseID(r.text()) }

func (r *row) parseID(text string) core.ID {
	id, err := core.ParseID(text)
	if err != nil {
		r.bad(text, "an identifier")
	}
	return id
}

func (r *row) ids() (ids []core.ID) {
	v := r.take()
	list, ok := v.([]any)
	if !ok {
		r.bad(v, "a list of identifiers")
	}
	for _, one := range list {
		text, _ := one.(string)
		ids = append(ids, r.parseID(text))
	}
	return ids
}

func (r *row) number() uint64 {
	raw := r.take()
	switch v := reflect.ValueOf(raw); {
	case v.IsValid() && v.CanUint():
		return v.Uint()
	case v.IsValid() && v.CanInt() && v.Int() >= 0:
		return uint64(v.Int())
	}
	r.bad(raw, "a number")
	return 0
}

func (r *row) microseconds() time.Duration {
	raw := r.take()
	switch v := reflect.ValueOf(raw); {
	case v.IsValid() && v.CanUint():
		return time.Duration(v.Uint()) * time.Microsecond
	case v.IsValid() && v.CanInt():
		return time.Duration(v.Int()) * time.Microsecond
	}
	r.bad(raw, "a number")
	return 0
}

func (r *row) bool() bool {
	v := r.take()
	is, ok := v.(bool)
	if !ok {
		r.bad(v, "true or false")
	}
	return is
}

func (r *row) addr() netip.Addr {
	text := r.text()
	a, err := netip.ParseAddr(text)
	if err != nil {
		r.bad(text, "an address")
	}
	return a.Unmap()
}

func (r *row) digest() (d audit.Digest) {
	text := r.text()
	if b, err := hex.DecodeString(text); err != nil || copy(d[:], b) != len(d) || len(b) != len(d) {
		r.bad(text, "a digest")
	}
	return d
}

func (r *row) tags() map[string]string {
	v := r.take()
	object, ok := v.(map[string]any)
	if !ok {
		r.bad(v, "an object")
	}
	if len(object) == 0 {
		return nil
	}
	tags := make(map[string]string, len(object))
	for name, value := range object {
		text, ok := value.(string)
		if !ok {
			r.bad(value, "text")
		}
		tags[name] = text
	}
	return tags
}
