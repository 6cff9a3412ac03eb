package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/audit"
)

// column is one that the audit fills.
type column struct{ name, kind string }

// tables are what the newest migration leaves, in the order in which columns are filled. Somebody may have added columns of his own
// that have defaults.
var tables = map[string][]column{
	"audit_messages": {
		{"at", "DateTime64(3, 'UTC')"}, {"id", "UUID"}, {"node", "LowCardinality(String)"}, {"namespace", "LowCardinality(String)"},
		{"channel", "String"}, {"user", "String"}, {"session", "UUID"}, {"client_id", "String"}, {"offset", "UInt64"}, {"size", "UInt32"},
		{"deliveries", "UInt32"}, {"verdict", "Enum8('allow' = 1, 'modify' = 2, 'drop' = 3)"}, {"content_type", "LowCardinality(String)"},
		{"payload", "String"}, {"payload_hash", "String"}, {"tags", "Map(LowCardinality(String), String)"}, {"decisions", "Array(UUID)"},
	},
	"audit_sessions": {
		{"connected_at", "DateTime64(3, 'UTC')"}, {"disconnected_at", "DateTime64(3, 'UTC')"}, {"session", "UUID"},
		{"node", "LowCardinality(String)"}, {"node_epoch", "UInt64"}, {"worker", "UInt16"}, {"user", "String"},
		{"transport", "LowCardinality(String)"}, {"protocol", "LowCardinality(String)"}, {"remote_addr", "IPv6"},
		{"user_agent", "LowCardinality(String)"}, {"msgs_in", "UInt64"}, {"msgs_out", "UInt64"}, {"bytes_in", "UInt64"},
		{"bytes_out", "UInt64"}, {"close_code", "UInt16"}, {"close_reason", "LowCardinality(String)"}, {"version", "UInt8"},
	},
	"audit_decisions": {
		{"at", "DateTime64(3, 'UTC')"}, {"id", "UUID"}, {"node", "LowCardinality(String)"}, {"hook", "LowCardinality(String)"},
		{"plugin", "LowCardinality(String)"}, {"plugin_hash", "LowCardinality(String)"},
		{"verdict", "Enum8('allow' = 1, 'modify' = 2, 'drop' = 3, 'reject' = 4, 'error' = 5, 'timeout' = 6)"},
		{"reason", "LowCardinality(String)"}, {"user", "String"}, {"session", "UUID"}, {"channel", "String"}, {"message", "UUID"},
		{"remote_addr", "IPv6"}, {"latency_us", "UInt32"},
	},
	"audit_actions": {
		{"at", "DateTime64(3, 'UTC')"}, {"id", "UUID"}, {"node", "LowCardinality(String)"}, {"actor", "String"},
		{"actor_kind", "LowCardinality(String)"}, {"action", "LowCardinality(String)"}, {"target", "String"}, {"ok", "Bool"},
		{"error", "String"}, {"remote_addr", "IPv6"}, {"request", "String"}, {"latency_us", "UInt32"},
	},
	"audit_deliveries": {
		{"at", "DateTime64(3, 'UTC')"}, {"message", "UUID"}, {"node", "LowCardinality(String)"}, {"namespace", "LowCardinality(String)"},
		{"channel", "String"}, {"deliveries", "UInt64"}, {"drops", "UInt64"},
	},
	"audit_drops": {
		{"at", "DateTime64(3, 'UTC')"}, {"node", "LowCardinality(String)"}, {"session", "UUID"}, {"user", "String"},
		{"reason", "LowCardinality(String)"}, {"messages", "UInt32"},
	},
	"audit_chain": {
		{"at", "DateTime64(3, 'UTC')"}, {"node", "LowCardinality(String)"}, {"life", "String"}, {"number", "UInt64"},
		{"first_at", "DateTime64(3, 'UTC')"}, {"last_at", "DateTime64(3, 'UTC')"}, {"events", "UInt32"}, {"previous", "String"},
		{"digest", "String"}, {"entries", "String"},
	},
	"audit_erasures": {
		{"at", "DateTime64(3, 'UTC')"}, {"id", "UUID"}, {"kind", "LowCardinality(String)"}, {"event", "UUID"}, {"content", "String"},
	},
}

func insertInto(table string) string {
	var names []string
	for _, c := range tables[table] {
		names = append(names, c.name)
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ")"
}

// checkSchema compares the tables with what the audit fills. Events wait until somebody has mended what is wrong.
func checkSchema(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err says it.
	there := map[string]map[string]string{}
	for rows.Next() {
		var table, name, kind string
		if err := rows.Scan(&table, &name, &kind); err != nil {
			return err
		}
		if there[table] == nil {
			there[table] = map[string]string{}
		}
		there[table][name] = kind
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var wrong []string
	for table, columns := range tables {
		if there[table] == nil {
			wrong = append(wrong, "the table "+table+" is missing")
			continue
		}
		for _, c := range columns {
			switch kind, ok := there[table][c.name]; {
			case !ok:
				wrong = append(wrong, fmt.Sprintf("the column %s.%s is missing, its type was %s", table, c.name, c.kind))
			case kind != c.kind:
				wrong = append(wrong, fmt.Sprintf("the column %s.%s is of the type %s instead of %s", table, c.name, kind, c.kind))
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return audit.Obstacle("somebody has altered the audit tables: " + strings.Join(wrong, "; ") + "; put it back, and the events that wait are stored")
}
