package public_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/zenconn/server/public"
)

// The page must run the SDK as it was published: a change to the file belongs upstream.
func TestVendoredSDKIsUnmodified(t *testing.T) {
	readme := read(t, "vendor/centrifuge/README.md")
	sum := sha256.Sum256([]byte(read(t, "vendor/centrifuge/centrifuge.js")))
	if got := hex.EncodeToString(sum[:]); !strings.Contains(readme, "| sha256 | `"+got+"` |") {
		t.Errorf("vendor/centrifuge/centrifuge.js has sha256 %s, which is not the one in its README.md", got)
	}
	if !strings.Contains(read(t, "vendor/centrifuge/LICENSE"), "MIT License") {
		t.Error("the SDK's licence is missing")
	}
}

var references = regexp.MustCompile(`(?:src|href)="([^"]*)"|from '([^']*)'|url\(([^)]*)\)`)

// Everything the pages load is there, and nothing is loaded from elsewhere. Links a person may follow are not loaded.
func TestPagesLoadOnlyWhatIsHere(t *testing.T) {
	files, err := fs.Glob(public.Files, "*.*")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		for _, match := range references.FindAllStringSubmatch(read(t, file), -1) {
			target := match[1] + match[2] + match[3]
			if strings.HasPrefix(match[0], "href") && strings.HasPrefix(target, "https://github.com/zenconn/server") {
				continue
			}
			found++
			if _, err := fs.Stat(public.Files, strings.TrimPrefix(target, "./")); err != nil {
				t.Errorf("%s refers to %q: %v", file, target, err)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d references were found: the pattern no longer fits the pages", found)
	}
}

// Text from other people becomes textContent and nothing else.
func TestScriptsNeverParseMarkup(t *testing.T) {
	scripts, err := fs.Glob(public.Files, "*.js")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function`)
	for _, file := range scripts {
		if bad := forbidden.FindString(read(t, file)); bad != "" {
			t.Errorf("%s uses %s", file, bad)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := public.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
