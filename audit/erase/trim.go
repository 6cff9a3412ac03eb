package erase

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zenconn/server/audit/stored"
)

// Limits say how much of the audit is kept.
type Limits struct {
	Keep map[string]time.Duration // By table; zero: for ever.
	Rows int                      // Of each table; zero: any number. Of rows with the same millisecond, all or none are kept.
}

// Trim removes what the limits do not allow, and returns how many rows that are, by table. When there are none it writes nothing.
func Trim(ctx context.Context, store Store, limits Limits, now time.Time, by By) (map[string]int, error) {
	removed, before := map[string]int{}, map[string]time.Time{}
	for _, table := range slices.Sorted(maps.Keys(timeColumns)) {
		cut, err := limits.cut(ctx, store, table, now)
		if err != nil {
			return nil, err
		}
		if cut.IsZero() {
			continue
		}
		n, err := number(ctx, store, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s < %s", table, timeColumns[table], stored.Time(cut)))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			removed[table], before[table] = n, cut
		}
	}
	if len(removed) == 0 {
		return removed, nil
	}
	return removed, Before(ctx, store, before, by)
}

// cut returns the time before which the rows of a table go; zero: none does.
func (l Limits) cut(ctx context.Context, store Store, table string, now time.Time) (cut time.Time, err error) {
	if keep := l.Keep[table]; keep > 0 {
		cut = now.Add(-keep).UTC().Truncate(time.Millisecond)
	}
	if l.Rows <= 0 || table == "audit_chain" || table == "audit_erasures" { // They vouch for the others, and go by time only.
		return cut, nil
	}
	column := timeColumns[table]
	statement := fmt.Sprintf("SELECT %s FROM %s ORDER BY %s DESC LIMIT 1 OFFSET %d", column, table, column, l.Rows-1)
	err = first(ctx, store, statement, func(value any) error {
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", fmt.Sprint(value), time.UTC)
		if err == nil && at.After(cut) {
			cut = at
		}
		return err
	})
	return cut, err
}

func number(ctx context.Context, store Store, statement string) (n int, err error) {
	err = first(ctx, store, statement, func(value any) error {
		_, err := fmt.Sscan(fmt.Sprint(value), &n)
		return err
	})
	return n, err
}

// first hands the first value of an answer to use, if there is one.
func first(ctx context.Context, store Store, statement string, use func(any) error) (err error) {
	rows, err := store.Query(ctx, statement)
	if err != nil {
		return err
	}
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	if rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		return use(values[0])
	}
	return rows.Err()
}
