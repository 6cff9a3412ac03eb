package clickhouse

import (
	"context"
	"errors"
	"testing"
	"time"
)

// The context of an insert that has succeeded does not end with the call: the driver would close a connection that others use by then.
func TestInsertContext(t *testing.T) {
	caller, leave := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	succeeded, end := insertContext(caller, time.Minute)
	end(nil)
	failed, end := insertContext(caller, time.Minute)
	end(errors.New("no answer"))
	running, end := insertContext(caller, time.Minute)
	if failed.Err() == nil || running.Err() != nil {
		t.Errorf("of one that failed: %v; of one that runs: %v", failed.Err(), running.Err())
	}
	want, _ := caller.Deadline()
	if got, _ := running.Deadline(); !got.Equal(want) {
		t.Errorf("the deadline is %v instead of the caller's, %v", got, want)
	}
	usual, endUsual := insertContext(t.Context(), time.Minute)
	defer endUsual(nil)
	if deadline, there := usual.Deadline(); !there || time.Until(deadline) > time.Minute {
		t.Errorf("without a deadline of the caller's it is %v, %v", deadline, there)
	}
	leave()
	<-running.Done()
	end(running.Err())
	if err := succeeded.Err(); err != nil {
		t.Errorf("after a success: %v", err)
	}
}
