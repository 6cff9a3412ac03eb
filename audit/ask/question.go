package ask

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/zenconn/server/core"
)

// Question is one that has a name.
type Question struct {
	Name     string
	Argument string // What it is asked about, such as USER; empty: nothing.
	Example  string // Of an argument, as it is typed.
	Short    string
	SQL      string // With @name for parameters.
	Chart    Chart
	Recent   bool // Without a beginning it is asked about the last day, since the answer would otherwise take reading everything.

	// parse reads the argument into the parameter that the SQL calls @about.
	parse func(argument string, now time.Time) (any, error)
}

// Chart says how an answer becomes bars: one for each row, with the value of one column and the label of others.
type Chart struct {
	SQL    string // Asked for the bars; empty: they are the rows of the answer itself.
	Labels []string
	Value  string // Empty: there is no chart.
}

// Terms are what a question is asked with. The zero value of a field means no restriction, or the question's own.
type Terms struct {
	Argument string
	Since    time.Time
	Until    time.Time // Exclusive.
	Limit    int       // Most rows.
}

// recently is the period of a Recent question.
const recently = 24 * time.Hour

// The limits of time that both stores can compare with.
var (
	dawn = time.Unix(0, 0).UTC()
	dusk = time.Date(2250, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Params returns the parameters of a statement of the question. The error is a sentence about the argument.
func (q *Question) Params(statement string, t Terms, now time.Time) ([]sql.NamedArg, error) {
	all := []sql.NamedArg{sql.Named("limit", t.Limit), sql.Named("since", dawn), sql.Named("until", dusk)}
	if q.Recent && t.Since.IsZero() {
		t.Since = now.Add(-recently)
		if !t.Until.IsZero() {
			t.Since = t.Until.Add(-recently)
		}
	}
	if !t.Since.IsZero() {
		all[1].Value = t.Since
	}
	if !t.Until.IsZero() {
		all[2].Value = t.Until
	}
	if q.parse != nil {
		about, err := q.parse(t.Argument, now)
		if err != nil {
			return nil, err
		}
		all = append(all, sql.Named("about", about))
	}
	var used []sql.NamedArg
	for _, p := range all {
		if strings.Contains(statement, "@"+p.Name) {
			used = append(used, p)
		}
	}
	return used, nil
}

// Period reports whether the question is one about a period.
func (q *Question) Period() bool { return strings.Contains(q.SQL, "@since") }

func text(argument string, _ time.Time) (any, error) { return argument, nil }

func moment(argument string, now time.Time) (any, error) { return ParseTime(argument, now) }

func identifier(argument string, _ time.Time) (any, error) {
	id, err := core.ParseID(argument)
	if err != nil {
		return nil, fmt.Errorf("%.80q is not the identifier of a message, such as 0193a5b0-0000-7000-8000-00000000000a", argument)
	}
	return id, nil
}

var days = regexp.MustCompile(`^(\d{1,5})d$`)

// ParseTime reads a time as a person writes it: in UTC, 2026-11-21 14:03:00, less of it from the right, or RFC 3339; 14:03 for today; or a
// duration such as 90m, 24h or 7d for so long ago.
func ParseTime(s string, now time.Time) (time.Time, error) {
	now = now.UTC()
	if m := days.FindStringSubmatch(s); m != nil {
		s = m[1] + "h"
		d, err := time.ParseDuration(s)
		return now.Add(-24 * d), err
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{
		"2006-01-02 15:04:05.999", "2006-01-02T15:04:05.999", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly, time.RFC3339Nano,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return now.Truncate(24 * time.Hour).Add(t.Sub(t.Truncate(24 * time.Hour))), nil
		}
	}
	return time.Time{}, fmt.Errorf(`%.80q is not a time: write "2026-11-21 14:03" (UTC), 14:03 for today, or 24h or 7d for so long ago`, s)
}
