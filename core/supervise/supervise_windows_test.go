package supervise_test

import (
	"testing"

	"github.com/zenconn/server/core/supervise"
)

func TestNoChildrenOnWindows(t *testing.T) {
	if _, err := supervise.New(supervise.Options{Count: 1}); err == nil {
		t.Error("children that cannot inherit a listener are accepted")
	}
	if _, err := supervise.New(supervise.Options{}); err != nil {
		t.Error(err)
	}
}
