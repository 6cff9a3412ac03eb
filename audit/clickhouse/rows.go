package clickhouse

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// rows reads an answer and turns the types of ClickHouse into those that audit.Rows promises.
type rows struct {
	driver.Rows
	store  *Store
	cancel context.CancelFunc
}

func (r *rows) Values() ([]any, error) {
	types := r.ColumnTypes()
	into := make([]any, len(types))
	for i, t := range types {
		into[i] = reflect.New(t.ScanType()).Interface()
	}
	if err := r.Scan(into...); err != nil {
		return nil, r.store.explain(err)
	}
	for i, t := range types {
		into[i] = plain(reflect.ValueOf(into[i]).Elem(), t.DatabaseTypeName())
	}
	return into, nil
}

func (r *rows) Err() error { return r.store.explain(r.Rows.Err()) }

func (r *rows) Close() error {
	defer r.cancel()
	return r.store.explain(r.Rows.Close())
}

// plain makes strings of times, identifiers, addresses and big numbers, and looks through pointers (Nullable) and containers.
func plain(v reflect.Value, columnType string) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		if _, ok := reflect.TypeAssert[fmt.Stringer](v); ok && v.Elem().Type() != reflect.TypeFor[time.Time]() {
			break
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return formatTime(value, columnType)
	case fmt.Stringer: // UUID, IP, Decimal, big.Int.
		return value.String()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), columnType)
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			m[fmt.Sprint(plain(key, columnType))] = plain(value, columnType)
		}
		return m
	}
	return v.Interface()
}

// formatTime writes a time with the precision of its column, as ClickHouse itself does. Within containers the type is a guess
// from their name.
func formatTime(t time.Time, columnType string) string {
	_, digits, ok := strings.Cut(columnType, "DateTime64(")
	switch {
	case ok:
		n, _ := strconv.Atoi(digits[:1])
		return t.Format(strings.TrimSuffix("2006-01-02 15:04:05."+strings.Repeat("0", n), "."))
	case strings.Contains(columnType, "DateTime"):
		return t.Format(time.DateTime)
	default:
		return t.Format(time.DateOnly)
	}
}
