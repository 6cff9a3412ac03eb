package cli_test

import (
	"strings"
	"testing"

	"github.com/zenconn/server/core"
)

func TestAuditRetry(t *testing.T) {
	s := &scene{aside: 2}
	flags := serveScene(t, s)
	for _, want := range []string{"2 batches are tried again\n", "nothing was set aside\n"} {
		if got := typed(t, nil, append([]string{"audit", "retry"}, flags...)...); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	s.refused = core.ErrNotAvailable.Saying("not now")
	if got := typed(t, nil, append([]string{"audit", "retry"}, flags...)...); got.code == 0 || !strings.Contains(got.stderr, "not now") {
		t.Errorf("%+v", got)
	}
}
