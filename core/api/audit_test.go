package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/zenconn/server/core/api"
)

// aside stands for what was set aside; a store that sets aside is tested where the spool is.
type aside struct {
	mu      sync.Mutex
	batches int
	err     error
}

func (a *aside) Retry(context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.batches
	a.batches = 0
	return n, a.err
}

func TestAuditRetry(t *testing.T) {
	r := start(t, configuration())
	r.aside.batches = 3
	for _, want := range []int{3, 0} {
		var retried api.AuditRetried
		if r.must("audit_retry", `{}`, &retried); retried.Batches != want {
			t.Errorf("%+v, want %d", retried, want)
		}
	}
	r.aside.err = errors.New("inside")
	if answer := r.call("audit_retry", ``); !strings.Contains(answer, `"code":100`) || strings.Contains(answer, "inside") {
		t.Error(answer)
	}
	if code, answer, _ := r.do(http.MethodPost, "/api/audit_retry", `{}`); code != http.StatusUnauthorized {
		t.Errorf("without the key: %d %s", code, answer)
	}
}
