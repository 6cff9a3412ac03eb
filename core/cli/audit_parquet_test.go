package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/config"
)

// difficult are messages of which each is hard to keep in some way.
func difficult() *audit.Batch {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	b := &audit.Batch{Token: "difficult", Messages: audittest.Messages(500, 6)}
	for i, payload := range [][]byte{{}, bytes.Repeat([]byte("maximum "), 1<<17), every, []byte("0xff"), []byte("\xc3("), []byte("PAR1\x00'\\\n")} {
		b.Messages[i].Payload, b.Messages[i].Size = payload, uint32(len(payload))
	}
	b.Messages[1].Offset = 1<<63 - 1
	b.Messages[2].User, b.Messages[2].Channel = "eve'); DROP TABLE audit_messages; --", "a\xff\xfeb\n\x00\u202e"
	b.Messages[3].Decisions = []core.ID{audittest.ID(20), audittest.ID(21), audittest.ID(22)}
	b.Messages[3].Tags = map[string]string{"": "empty", "z": "", "\"": "日本", "a": "1"}
	b.Messages[4].Decisions = []core.ID{audittest.ID(23)}
	return b
}

// What is in a file is what NDJSON has, for this library and for ClickHouse.
func TestAuditExportParquet(t *testing.T) {
	onBothStores(t, func(t *testing.T, environ []string) {
		for _, table := range []string{"messages", "sessions", "decisions", "actions", "deliveries", "drops"} {
			export := func(args ...string) string {
				got := typed(t, environ, append([]string{"audit", "export", "--table", table, "--until", audittest.Dated("2027-01-01")}, args...)...)
				if got.code != 0 || got.stderr != "" {
					t.Fatalf("%s %q: %+v", table, args, got.stderr)
				}
				return got.stdout
			}
			want := losslessRows(t, export())
			export("--out", table+".parquet")
			file, err := os.ReadFile(table + ".parquet")
			must(t, err)
			if piped := export("--format", "parquet"); piped != string(file) {
				t.Errorf("%s: %d bytes through a pipe, %d in a file", table, len(piped), len(file))
			}
			if len(want) == 0 {
				t.Errorf("%s: no rows", table)
			}
			sameRows(t, table, readParquet(t, file), want)
			if environ != nil {
				sameRows(t, table+" in ClickHouse", clickHouseParquet(t, environ, file, want), want)
			}
		}
	}, audittest.Story(), difficult())
}

// sameRows compares rows of columns, some of which have the same time and no order.
func sameRows(t *testing.T, what string, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		for name := range want[i] {
			if !reflect.DeepEqual(got[i][name], want[i][name]) {
				t.Errorf("%s, row %d: %s is %.200q, want %.200q", what, i, name, fmt.Sprint(got[i][name]), fmt.Sprint(want[i][name]))
			}
		}
		if len(got[i]) != len(want[i]) {
			t.Errorf("%s, row %d: %d columns, want %d", what, i, len(got[i]), len(want[i]))
		}
	}
}

// losslessRows reads NDJSON: times, bytes as strings, numbers as they are written, the rest as JSON.
func losslessRows(t *testing.T, lines string) (rows []map[string]any) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var object map[string]any
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		must(t, decoder.Decode(&object))
		row := map[string]any{}
		for name, value := range object {
			if plain, ok := strings.CutSuffix(name, "_base64"); ok {
				b, err := base64.StdEncoding.DecodeString(value.(string))
				must(t, err)
				if name, value = plain, string(b); plain != "payload" {
					value = "0x" + hex.EncodeToString(b)
				}
			}
			if at, err := time.Parse(time.DateTime, fmt.Sprint(value)); err == nil {
				value = at
			}
			row[name] = value
		}
		rows = append(rows, row)
	}
	return rows
}

// readParquet reads the rows of a file in the same form.
func readParquet(t *testing.T, content []byte) (rows []map[string]any) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	must(t, err)
	paths := file.Schema().Columns()
	for _, group := range file.RowGroups() {
		reader := group.Rows()
		buffer := make([]parquet.Row, group.NumRows()+1)
		n, _ := reader.ReadRows(buffer) //nolint:errcheck // The number says it.
		if int64(n) != group.NumRows() {
			t.Fatalf("%d rows of a group of %d", n, group.NumRows())
		}
		for _, values := range buffer[:n] {
			row := map[string]any{}
			var keys []string
			values.Range(func(column int, values []parquet.Value) bool {
				path, leaf := paths[column], file.Schema().Fields()
				switch {
				case len(path) == 1:
					for _, f := range leaf {
						if f.Name() == path[0] {
							row[path[0]] = plainValue(f, values[0])
						}
					}
				case path[1] == "list":
					row[path[0]] = append([]any{}, texts(values)...)
				case path[2] == "key":
					keys = nil
					for _, key := range texts(values) {
						keys = append(keys, key.(string))
					}
				default:
					m := map[string]any{}
					for i, value := range texts(values) {
						m[keys[i]] = value
					}
					row[path[0]] = m
				}
				return true
			})
			rows = append(rows, row)
		}
		reader.Close()
	}
	return rows
}

func texts(values []parquet.Value) (all []any) {
	for _, v := range values {
		if !v.IsNull() {
			all = append(all, string(v.ByteArray()))
		}
	}
	return all
}

func plainValue(f parquet.Field, v parquet.Value) any {
	logical := format.LogicalType{}
	if l := f.Type().LogicalType(); l != nil {
		logical = *l
	}
	switch logical.Value.(type) {
	case *format.TimestampType:
		return time.UnixMicro(v.Int64()).UTC()
	case *format.IntType:
		return json.Number(fmt.Sprint(v.Uint64()))
	}
	if v.Kind() == parquet.Boolean {
		return v.Boolean()
	}
	return string(v.ByteArray())
}

// clickHouseParquet has ClickHouse read the file, which comes within the question.
func clickHouseParquet(t *testing.T, environ []string, file []byte, like []map[string]any) (rows []map[string]any) {
	t.Helper()
	var escaped strings.Builder
	for _, b := range file {
		fmt.Fprintf(&escaped, `\x%02x`, b)
	}
	columns := "*"
	if _, ok := like[0]["payload"]; ok {
		columns = "* REPLACE (hex(payload) AS payload)"
	}
	environ = slices.Clone(environ)
	if strings.Contains(environ[0], "?") {
		environ[0] += "&max_query_size=1000000000"
	} else {
		environ[0] += "?max_query_size=1000000000"
	}
	var stdout, stderr strings.Builder
	question := strings.NewReader("SELECT " + columns + " FROM format(Parquet, '" + escaped.String() + "')")
	if code := cli.RunEnviron(t.Context(), []string{"audit", "query", "--json", "-"}, environ, question, &stdout, &stderr); code != 0 {
		t.Fatalf("%.500s", stderr.String())
	}
	rows = losslessRows(t, stdout.String())
	for _, row := range rows {
		if payload, ok := row["payload"].(string); ok {
			b, err := hex.DecodeString(payload)
			must(t, err)
			row["payload"] = string(b)
		}
	}
	return rows
}

// The types of the columns are the same whichever store they come from, though not their order.
func TestAuditExportParquetTypes(t *testing.T) {
	onBothStores(t, func(t *testing.T, environ []string) {
		for table, want := range map[string]string{
			"messages": "at time, channel text, client_id text, content_type text, decisions list, deliveries number, id text, " +
				"namespace text, node text, offset number, payload bytes, payload_hash text, session text, size number, tags map, user text, verdict text",
			"actions": "action text, actor text, actor_kind text, at time, error text, id text, latency_us number, node text, ok flag, " +
				"remote_addr text, request text, target text",
		} {
			// Of a time in which nothing happened: a file has its columns all the same.
			got := typed(t, environ, "audit", "export", "--table", table, "--format", "parquet", "--since", "2030-01-01", "--until", "2030-01-02")
			file, err := parquet.OpenFile(strings.NewReader(got.stdout), int64(len(got.stdout)))
			if err != nil {
				t.Fatalf("%v: %+v", err, got.stderr)
			}
			if file.NumRows() != 0 || file.Schema().Name() != "audit_"+table {
				t.Errorf("%d rows of %s", file.NumRows(), file.Schema().Name())
			}
			var columns []string
			for _, f := range file.Schema().Fields() {
				columns = append(columns, f.Name()+" "+typeName(f))
			}
			slices.Sort(columns)
			if got := strings.Join(columns, ", "); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}, audittest.Story())
}

// typeName is the type of a column in a word.
func typeName(f parquet.Field) string {
	name := fmt.Sprint(f.Type())
	if f.Leaf() {
		name = fmt.Sprint(f.Type().Kind(), " ", name)
	}
	for _, word := range []struct{ name, means string }{
		{"INT64 TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", "time"}, {"BYTE_ARRAY STRING", "text"}, {"INT64 INT(64,false)", "number"},
		{"BYTE_ARRAY BYTE_ARRAY", "bytes"}, {"BOOLEAN BOOLEAN", "flag"}, {"LIST", "list"}, {"MAP", "map"},
	} {
		if name == word.name {
			return word.means
		}
	}
	return name
}

// A file is written group by group, so that the memory does not depend on how many rows there are or how long they are.
func TestAuditExportParquetGroups(t *testing.T) {
	inFolder(t)
	long := audittest.Messages(0, 70)
	for _, m := range long {
		m.Payload = bytes.Repeat([]byte("long "), 200<<10)
	}
	s, err := store.Open(config.Audit{}, "data")
	must(t, err)
	defer s.Close()
	must(t, s.Write(t.Context(), &audit.Batch{Token: "long", Messages: long}))
	got := typed(t, nil, "audit", "export", "--format", "parquet")
	file, err := parquet.OpenFile(strings.NewReader(got.stdout), int64(len(got.stdout)))
	must(t, err)
	var rows []int64
	for _, g := range file.RowGroups() {
		rows = append(rows, g.NumRows())
	}
	if !slices.Equal(rows, []int64{33, 33, 4}) { // The 33rd goes over 32 MiB.
		t.Errorf("groups of %d rows", rows)
	}
	if len(got.stdout) > 256<<10 { // Nor is a payload in the statistics of its column.
		t.Errorf("%d bytes", len(got.stdout))
	}
}

// So it is with short rows.
func TestAuditExportParquetShortRows(t *testing.T) {
	var file bytes.Buffer
	const rows = 300_000
	err := cli.ParquetOf(&file, "audit_drops", []string{"user", "messages", "more"}, func(yield func([]any) bool) {
		for i := range rows {
			if !yield([]any{"alice", int64(i), nil}) {
				return
			}
		}
	})
	must(t, err)
	read, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	must(t, err)
	if n := len(read.RowGroups()); n != 3 || read.RowGroups()[0].NumRows() != 128<<10 || read.NumRows() != rows {
		t.Errorf("%d groups, %d rows", n, read.NumRows())
	}
}

// A table that somebody has altered is exported with the columns it has now, or it is said which of them holds what it cannot hold.
func TestAuditExportParquetOfAlteredTables(t *testing.T) {
	for name, test := range map[string]struct {
		column string
		value  any
		want   string
	}{
		"a new column":           {"mood", 1.5, ""},
		"a new column, empty":    {"mood", nil, ""},
		"a smaller number":       {"size", int32(7), ""},
		"a negative number":      {"size", int64(-7), `audit_messages.size holds "-7", which is not a number from 0 on`},
		"no number":              {"size", "many", `audit_messages.size holds "many", which is not a number from 0 on`},
		"nothing for a number":   {"offset", nil, `audit_messages.offset holds "<nil>", which is not a number from 0 on`},
		"no time":                {"at", "yesterday", `audit_messages.at holds "yesterday", which is not a time`},
		"text instead of a flag": {"ok", "yes", `audit_messages.ok holds "yes", which is not true or false`},
		"a list instead of tags": {"tags", []any{"a"}, `audit_messages.tags holds "[a]", which is not an object`},
		"no list":                {"decisions", "[", `audit_messages.decisions holds "[", which is not a list`},
		"no bytes":               {"payload", int64(1), `audit_messages.payload holds "1", which is not bytes`},
	} {
		err := cli.ParquetOf(io.Discard, "audit_messages", []string{"id", test.column}, slices.Values([][]any{{"1", test.value}}))
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("%s: %s, want %q", name, got, test.want)
		}
	}
}
