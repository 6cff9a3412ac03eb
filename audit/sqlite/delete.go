package sqlite

import (
	"context"
	"time"
)

// deleteStep is how many rows are removed in one transaction: batches that are to be written wait for one of them at most.
const deleteStep = 1000

// Delete removes the rows of a table for which where, in SQL, is true, and overwrites them in the file (secure_delete). It takes turns with
// Write, and leaves it at least half of the time. When it fails, some rows may be gone.
func (s *Store) Delete(ctx context.Context, table, where string) error {
	statement := "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + " WHERE " + where + " LIMIT ?)" //nolint:gosec // Who calls it has written the clause.
	for {
		began := time.Now()
		result, err := s.db.ExecContext(ctx, statement, deleteStep)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n < deleteStep {
			break
		}
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// The log holds what was there before; it is overwritten by and by anyway, and at once when nobody is reading.
	_, err := s.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// Compact gives the room of removed rows back to the file system. Writes wait until it is done, and as much room as the rest takes is needed
// meanwhile.
func (s *Store) Compact(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "VACUUM")
	return err
}
