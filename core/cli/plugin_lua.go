package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/zenconn/server/hooks/host"
)

// luaCall is a name behind a name: a function of a library.
var luaCall = regexp.MustCompile(`\b([a-z]+)\s*\.\s*([a-z]+)\b`)

// luaFunctions names the server's functions that a script mentions, under the names they have everywhere. One that it reaches in a
// roundabout way, such as kv["get"], is not seen.
func luaFunctions(source string) []string {
	var all []string
	for _, names := range luaCall.FindAllStringSubmatch(luaCode(source), -1) {
		for _, f := range host.Functions() {
			if library, name := f.Library(); library == names[1] && name == names[2] && !slices.Contains(all, f.Name) {
				all = append(all, f.Name)
			}
		}
	}
	return all
}

// luaCode is a script without its comments and texts.
func luaCode(source string) string {
	var b strings.Builder
	for source != "" {
		switch {
		case strings.HasPrefix(source, "--"):
			rest := source[2:]
			if end, ok := luaLong(rest); ok {
				source = rest[end:]
				break
			}
			source = rest[lineEnd(rest):]
		case source[0] == '"' || source[0] == '\'':
			source = source[luaShort(source):]
			b.WriteByte(' ')
		default:
			if end, ok := luaLong(source); ok {
				source = source[end:]
				b.WriteByte(' ')
				break
			}
			b.WriteByte(source[0])
			source = source[1:]
		}
	}
	return b.String()
}

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

// luaShort is the length of the text in quotes that s begins with.
func luaShort(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return len(s)
}

// luaLong is the length of the text in long brackets, such as [[…]] or [==[…]==], that s begins with.
func luaLong(s string) (length int, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return 0, false
	}
	level := len(s[1:]) - len(strings.TrimLeft(s[1:], "="))
	if !strings.HasPrefix(s[1+level:], "[") {
		return 0, false
	}
	closing := "]" + strings.Repeat("=", level) + "]"
	if end := strings.Index(s[2+level:], closing); end >= 0 {
		return 2 + level + end + len(closing), true
	}
	return len(s), true
}
