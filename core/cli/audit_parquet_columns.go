package cli

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

// parquetKind is how a column is kept.
type parquetKind int

const (
	parquetWords  parquetKind = iota // UTF-8 text, of which there is much the same.
	parquetText                      // UTF-8 text, each another.
	parquetBytes                     // Whatever bytes.
	parquetMoment                    // Microseconds since 1970, UTC.
	parquetNumber                    // Unsigned, 64 bits.
	parquetFlag
	parquetList // Of texts.
	parquetMap  // Of texts.
)

// parquetKindOf is how a column of that name is kept, which means the same in all tables.
func parquetKindOf(column string) parquetKind {
	switch column {
	case "at", "connected_at", "disconnected_at":
		return parquetMoment
	case "offset", "size", "deliveries", "drops", "messages", "node_epoch", "worker", "msgs_in", "msgs_out", "bytes_in", "bytes_out",
		"close_code", "version", "latency_us":
		return parquetNumber
	case "id", "message", "payload_hash", "error", "request":
		return parquetText
	case "payload":
		return parquetBytes
	case "ok":
		return parquetFlag
	case "decisions":
		return parquetList
	case "tags":
		return parquetMap
	}
	return parquetWords
}

func (k parquetKind) node() parquet.Node {
	words := parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	switch k {
	case parquetText:
		return parquet.String()
	case parquetBytes:
		return parquet.Leaf(parquet.ByteArrayType)
	case parquetMoment:
		return parquet.Timestamp(parquet.Microsecond)
	case parquetNumber:
		return parquet.Uint(64)
	case parquetFlag:
		return parquet.Leaf(parquet.BooleanType)
	case parquetList:
		return parquet.List(parquet.String())
	case parquetMap:
		return parquet.Map(words, words)
	}
	return words
}

// leaves is how many of Parquet's columns it takes.
func (k parquetKind) leaves() int {
	if k == parquetMap {
		return 2
	}
	return 1
}

// boundless are the columns of Parquet's whose smallest and biggest values are of no use to a reader, and may be long.
func (k parquetKind) boundless(name string) [][]string {
	switch {
	case k == parquetBytes, name == "request", name == "error":
		return [][]string{{name}}
	case k == parquetList:
		return [][]string{{name, "list", "element"}}
	case k == parquetMap:
		return [][]string{{name, "key_value", "key"}, {name, "key_value", "value"}}
	}
	return nil
}

// puts appends a value of the column to a row. The error says what the value should have been.
func (k parquetKind) puts() func(to parquet.Row, value any, leaf int) (parquet.Row, error) {
	switch k {
	case parquetBytes:
		return single(parquetRaw)
	case parquetMoment:
		return single(parquetTime)
	case parquetNumber:
		return single(parquetWhole)
	case parquetFlag:
		return single(parquetBool)
	case parquetList:
		return putParquetList
	case parquetMap:
		return putParquetMap
	}
	return single(func(value any) (parquet.Value, error) { return parquetString(value), nil })
}

func single(convert func(any) (parquet.Value, error)) func(parquet.Row, any, int) (parquet.Row, error) {
	return func(to parquet.Row, value any, i int) (parquet.Row, error) {
		v, err := convert(value)
		return append(to, v.Level(0, 0, i)), err
	}
}

// parquetString writes bytes that are no text as tables and CSV have them: readers take it that what is said to be UTF-8 is.
func parquetString(value any) parquet.Value { return parquet.ByteArrayValue([]byte(asText(value))) }

func parquetRaw(value any) (parquet.Value, error) {
	switch v := value.(type) {
	case []byte:
		return parquet.ByteArrayValue(v), nil
	case string:
		return parquet.ByteArrayValue([]byte(v)), nil
	}
	return parquet.Value{}, errors.New("bytes")
}

func parquetTime(value any) (parquet.Value, error) {
	t, err := time.Parse(time.DateTime, asText(value)) // Takes any fraction of the second.
	if err != nil {
		return parquet.Value{}, errors.New("a time")
	}
	return parquet.Int64Value(t.UnixMicro()), nil
}

func parquetWhole(value any) (parquet.Value, error) {
	switch v := reflect.ValueOf(value); {
	case v.IsValid() && v.CanUint():
		return parquet.Int64Value(int64(v.Uint())), nil //nolint:gosec // The column is said to be unsigned.
	case v.IsValid() && v.CanInt() && v.Int() >= 0:
		return parquet.Int64Value(v.Int()), nil
	}
	return parquet.Value{}, errors.New("a number from 0 on")
}

func parquetBool(value any) (parquet.Value, error) {
	v, ok := value.(bool)
	if !ok {
		return parquet.Value{}, errors.New("true or false")
	}
	return parquet.BooleanValue(v), nil
}

func putParquetList(to parquet.Row, value any, i int) (parquet.Row, error) {
	list, ok := value.([]any)
	if !ok {
		return to, errors.New("a list")
	}
	if len(list) == 0 {
		return append(to, parquet.NullValue().Level(0, 0, i)), nil
	}
	for n, element := range list {
		to = append(to, parquetString(element).Level(min(n, 1), 1, i))
	}
	return to, nil
}

// putParquetMap writes the names in their order, and then what they stand for.
func putParquetMap(to parquet.Row, value any, i int) (parquet.Row, error) {
	m, ok := value.(map[string]any)
	if !ok {
		return to, errors.New("an object")
	}
	if len(m) == 0 {
		return append(to, parquet.NullValue().Level(0, 0, i), parquet.NullValue().Level(0, 0, i+1)), nil
	}
	names := slices.Sorted(maps.Keys(m))
	for n, name := range names {
		to = append(to, parquetString(name).Level(min(n, 1), 1, i))
	}
	for n, name := range names {
		to = append(to, parquetString(m[name]).Level(min(n, 1), 1, i+1))
	}
	return to, nil
}
