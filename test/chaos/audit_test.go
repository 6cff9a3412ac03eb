package chaos_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// closedWithin is how long sessions may stay in the list and in the audit after their process was killed. A machine that is busy with
// the clients that come back is late at times, but not each time.
const closedWithin = 2 * time.Second

// casualties are sessions of workers that were killed, with the times of that.
type casualties struct {
	killed  map[string]time.Time // By session.
	listed  []time.Duration      // For how long sessions stayed in the list, by worker that was killed.
	adopted bool                 // Some were children of an agent before: how they ended nobody can know.
}

// kill kills a worker and waits until nobody lists its sessions.
func (c *casualties) kill(t *testing.T, api *chaos.API, f *chaos.Fleet, worker chaos.Process) {
	t.Helper()
	awaitClients(t, api, f) // A session that is about to end for another reason is not among its victims.
	if c.killed == nil {
		c.killed = map[string]time.Time{}
	}
	var sessions []string
	for _, s := range api.List(worker.Name) {
		sessions = append(sessions, s.ID)
	}
	at := time.Now()
	for _, s := range sessions {
		c.killed[s] = at
	}
	kill(t, worker)
	chaos.Await(t, chaos.Patience, "the sessions of the worker are not listed any more", func() string {
		asked := time.Since(at) // The answer may take as long as this machine needs.
		ghosts := 0
		for _, s := range api.List(worker.Name) {
			if slices.Contains(sessions, s.ID) {
				ghosts++
			}
		}
		if ghosts > 0 {
			return fmt.Sprintf("%d of %d are", ghosts, len(sessions))
		}
		c.listed = append(c.listed, asked)
		return ""
	})
}

// verify checks what the audit says about the ends of these sessions.
func (c *casualties) verify(t *testing.T, s *server.Server) {
	t.Helper()
	if len(c.killed) == 0 {
		t.Error("nobody was on the workers that were killed")
	}
	found, wrong, earliest, latest := 0, 0, chaos.Patience, time.Duration(0)
	for _, row := range s.Audit(`SELECT session, disconnected_at, close_code, close_reason, version FROM audit_sessions WHERE version > 1`) {
		at, ok := c.killed[text(row["session"])]
		if !ok {
			continue
		}
		found++
		ended, err := time.Parse("2006-01-02 15:04:05.000", text(row["disconnected_at"]))
		if err != nil {
			t.Fatal(err)
		}
		earliest, latest = min(earliest, ended.Sub(at)), max(latest, ended.Sub(at))
		reason := text(row["close_reason"])
		known := reason == "the worker ended: signal: killed" || c.adopted && strings.HasPrefix(reason, "the worker ended: how is not known")
		if after := ended.Sub(at); after > chaos.Patience || after < -time.Millisecond || text(row["close_code"]) != "1006" || !known {
			wrong++
			if wrong <= 5 {
				t.Errorf("%v after the kill a session was closed as %v", after, row)
			}
		}
	}
	if found != len(c.killed) {
		t.Errorf("of %d sessions of killed workers %d have ended in the audit", len(c.killed), found)
	}
	t.Logf("%d sessions of killed workers were closed, %v to %v after the kill, and gone from the list after %v", found, earliest, latest, c.listed)
	if soonest := slices.Min(c.listed); earliest > closedWithin || soonest > closedWithin {
		t.Errorf("no session of a killed worker was closed before %v, and none was gone from the list before %v", earliest, soonest)
	}
}

func text(value any) string { return fmt.Sprint(value) }

// awaitClients waits until the sessions that the API lists are those of the clients, each once, and returns their IDs, sorted.
func awaitClients(t *testing.T, api *chaos.API, f *chaos.Fleet) (ids []string) {
	t.Helper()
	chaos.Await(t, chaos.Patience, "the sessions are those of the clients", func() string {
		var users []string
		ids = nil
		for _, s := range api.List("") {
			users, ids = append(users, s.User), append(ids, s.ID)
		}
		return difference(f.Users(), users)
	})
	slices.Sort(ids)
	return ids
}

// difference says how the second list differs from the first, which is sorted.
func difference(want, got []string) string {
	slices.Sort(got)
	if slices.Equal(want, got) {
		return ""
	}
	return fmt.Sprintf("%d instead of %d", len(got), len(want))
}

// awaitAudited waits until all that has happened is in the audit: the sessions that are open in it are those of the clients, and each channel's
// last acknowledged publication is there.
func awaitAudited(t *testing.T, s *server.Server, f *chaos.Fleet) {
	t.Helper()
	chaos.Await(t, chaos.Patience, "the audit is complete", func() string {
		last := map[string]int64{}
		for _, row := range s.Audit(`SELECT channel, max(CAST(payload AS INTEGER)) AS last FROM audit_messages GROUP BY channel`) {
			last[text(row["channel"])] = number(t, row["last"])
		}
		for channel, numbers := range f.Numbers() {
			if n := numbers[len(numbers)-1]; last[channel] < n {
				return fmt.Sprintf("%s ends at %d instead of %d", channel, last[channel], n)
			}
		}
		var users []string
		for _, row := range s.Audit(`SELECT user FROM audit_sessions WHERE version % 3 = 1`) {
			users = append(users, text(row["user"]))
		}
		if d := difference(f.Users(), users); d != "" {
			return "open sessions: " + d
		}
		return ""
	})
}

func number(t *testing.T, value any) int64 {
	t.Helper()
	digits, _, _ := strings.Cut(text(value), ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// unaudited counts the acknowledged publications that are not in the audit. What is there twice fails the test.
func unaudited(t *testing.T, s *server.Server, f *chaos.Fleet) (missing, all int) {
	t.Helper()
	type message struct {
		channel string
		number  int64
	}
	ids, messages := map[string]bool{}, map[message]bool{}
	for _, row := range s.Audit(`SELECT id, channel, CAST(payload AS TEXT) AS number FROM audit_messages`) {
		m := message{text(row["channel"]), number(t, row["number"])}
		if id := text(row["id"]); ids[id] || messages[m] {
			t.Errorf("publication %d of %s, %s, is in the audit twice", m.number, m.channel, id)
		}
		ids[text(row["id"])], messages[m] = true, true
	}
	for channel, numbers := range f.Numbers() {
		for _, n := range numbers {
			all++
			if !messages[message{channel, n}] {
				missing++
			}
		}
	}
	return missing, all
}
