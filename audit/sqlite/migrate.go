package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks a database file as a ZenConn audit (PRAGMA application_id): "ZCAU".
const applicationID = 0x5a434155

var (
	errForeign = errors.New("the file holds another program's data")
	errNewer   = errors.New("the file was written by a newer zenconn")
)

// checkOwner makes sure that the file is empty or an audit, before anything is changed in it.
func checkOwner(ctx context.Context, db *sql.DB) error {
	var id, tables int
	if err := db.QueryRowContext(ctx, "SELECT application_id, (SELECT count(*) FROM sqlite_master) FROM pragma_application_id").Scan(&id, &tables); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return errForeign
	}
	return nil
}

// migrate brings the schema to the newest version. Each step is one transaction; PRAGMA user_version is the last step taken.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := migrations.ReadDir("migrations") // Sorted by name, that is by number.
	if err != nil {
		return err
	}
	for {
		done, err := migrateNext(ctx, db, len(steps), func(n int) (string, error) {
			text, err := migrations.ReadFile("migrations/" + steps[n].Name())
			return string(text), err
		})
		if done || err != nil {
			return err
		}
	}
}

func migrateNext(ctx context.Context, db *sql.DB, last int, step func(int) (string, error)) (done bool, err error) {
	tx, err := db.BeginTx(ctx, nil) // Immediate: of two servers that start at once, one waits here.
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it has nothing to do.
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return false, err
	}
	switch {
	case version > last:
		return false, fmt.Errorf("%w: its schema has version %d, this program knows %d", errNewer, version, last)
	case version == last:
		return true, nil
	}
	text, err := step(version)
	if err != nil {
		return false, err
	}
	text += fmt.Sprintf("\nPRAGMA user_version = %d;\nPRAGMA application_id = %d;", version+1, applicationID)
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	return false, tx.Commit()
}
