package clickhouse

import (
	"strings"
	"testing"
)

func TestSupportedVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"25.6.1.1": true, "25.10.2": true, "26.5.3.1": true, "100.1": true,
		"25.5.9.1": false, "24.12.1.1": false, "25": false, "": false, "new": false,
	} {
		if err := supported(version); (err == nil) != want {
			t.Errorf("%q: %v", version, err)
		}
	}
	if err := supported("24.8.14.39"); !strings.Contains(err.Error(), "24.8.14.39") || !strings.Contains(err.Error(), "25.6 or newer") {
		t.Errorf("the message does not say what is there and what is needed: %v", err)
	}
}
