package session

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		var f failures
		for range 1000 {
			f.log(log, "command", "publish")
		}
		if n := strings.Count(out.String(), "\n"); n != failureLines {
			t.Errorf("%d lines in one second, want %d", n, failureLines)
		}
		out.Reset()
		time.Sleep(time.Second) //nolint:forbidigo // The bubble's clock.
		f.log(log, "command", "publish")
		if !strings.Contains(out.String(), "failures_not_logged=990") {
			t.Errorf("what was left out is not told: %s", &out)
		}
	})
}
