package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/audit"
)

// The migrations are applied in the order of their numbers, each once. ClickHouse has no transactions for schemas, and two nodes may
// begin at the same moment: every statement must be one that can be repeated (IF NOT EXISTS). Statements end with a semicolon at
// the end of a line.
//
//go:embed migrations/*.sql
var migrations embed.FS

// The oldest version of which projections work as indexes (_part_offset).
const minMajor, minMinor = 25, 6

func checkVersion(ctx context.Context, conn driver.Conn) error {
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return err
	}
	return supported(version)
}

func supported(version string) error {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) >= 2 {
		major, err1 := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil && (major > minMajor || major == minMajor && minor >= minMinor) {
			return nil
		}
	}
	return audit.Obstacle(fmt.Sprintf("the server's version is %.40s, the audit needs %d.%d or newer", version, minMajor, minMinor))
}

const migrationsTable = `CREATE TABLE IF NOT EXISTS zenconn_migrations
	(version UInt32, name String, applied_at DateTime('UTC') DEFAULT now()) ENGINE = ReplacingMergeTree ORDER BY version`

func migrate(ctx context.Context, conn driver.Conn, cluster string) error {
	if err := conn.Exec(ctx, clustered(migrationsTable, cluster)); err != nil {
		return err
	}
	var done uint32
	if err := conn.QueryRow(ctx, "SELECT max(version) FROM zenconn_migrations").Scan(&done); err != nil {
		return err
	}
	steps, err := migrations.ReadDir("migrations") // Sorted by name, that is by number.
	if err != nil {
		return err
	}
	if int(done) > len(steps) {
		return audit.Obstacle(fmt.Sprintf("the audit tables were made by a newer zenconn: their version is %d, this program knows %d", done, len(steps)))
	}
	for i := int(done); i < len(steps); i++ {
		if err := apply(ctx, conn, cluster, i+1, steps[i].Name()); err != nil {
			return fmt.Errorf("migration %s: %w", steps[i].Name(), err)
		}
	}
	return nil
}

func apply(ctx context.Context, conn driver.Conn, cluster string, version int, name string) error {
	text, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := conn.Exec(ctx, clustered(statement, cluster)); err != nil {
			return err
		}
	}
	return conn.Exec(ctx, "INSERT INTO zenconn_migrations (version, name) VALUES (?, ?)", version, name)
}
