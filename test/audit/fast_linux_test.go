package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// lossBound is how old a message may be that a killed worker takes with it. The flush interval is a second; the rest is for a machine that
// does not let the worker flush in time.
const lossBound = time.Minute

// In fast mode a worker that is killed takes with it what it had not handed to the spool: what was published within the flush interval.
func TestFastLoss(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	w.engine, w.network = newEngineBehind(t)
	w.servers = []*server.Server{server.Start(t, server.Options{
		Args:   []string{"--agent.workers", "3"},
		Config: settings() + fmt.Sprintf("audit: {clickhouse: {dsn: %q}}\n", w.engine.dsn(w.network.Address())),
	})}
	api := chaos.NewAPI(t, w.servers[0].APIAddr())
	w.board()
	var killed []time.Time
	for range times(2, 10) {
		w.grow(2)
		killWorker(t, api)
		killed = append(killed, time.Now())
		w.fleet.AwaitAll()
	}
	w.silence()
	answered, lost, oldest := w.fleet.Answered(), make([]int, len(killed)), time.Duration(0)
	var ignored tally
	for channel, numbers := range w.fleet.Numbers() {
		there := w.stored(channel, &ignored)
		for i, n := range numbers {
			if _, ok := there[n]; ok {
				continue
			}
			age, by := ageAt(answered[channel][i], killed)
			if age.Abs() > lossBound {
				t.Errorf("%s: %d is missing, and was answered %v before a worker was killed", channel, n, age)
				continue
			}
			lost[by]++
			oldest = max(oldest, age)
		}
	}
	if ignored.twice > 0 {
		t.Errorf("%d messages are there twice", ignored.twice)
	}
	t.Logf("%d workers killed took %v messages with them, the oldest of which was answered %v before", len(killed), lost, oldest.Round(time.Millisecond))
	verifies(t, w.servers[0])
}

// ageAt returns how old something was when the worker was killed that was killed nearest to it, and which that was. A client reads some
// answers only when the worker that gave them is dead: their age is less than nothing.
func ageAt(then time.Time, killed []time.Time) (age time.Duration, by int) {
	age = killed[0].Sub(then)
	for i, at := range killed {
		if one := at.Sub(then); one.Abs() < age.Abs() {
			age, by = one, i
		}
	}
	return age, by
}
