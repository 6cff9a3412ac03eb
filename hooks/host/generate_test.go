package host_test

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

var update = flag.Bool("update", false, "write the generated files anew")

const (
	referencePath   = "../../docs/hook-abi.md"
	referenceMarker = "<!-- Generated from hooks/host from here on: change it there, then run `go generate ./hooks/host`. -->\n"
	goKitPath       = "../../plugins/sdk/go/fields.go"
	goImportsPath   = "../../plugins/sdk/go/imports.go"
	luaKitPath      = "../../plugins/sdk/lua/zenconn.lua"
	luaMarker       = "-- Generated from hooks/host from here on: change it there, then run `go generate ./hooks/host`.\n"
)

// The reference's tables and the constants of the kits are written from the table; the text above the marker is written by hand.
func TestGenerated(t *testing.T) {
	byHand, _, found := strings.Cut(read(t, referencePath), referenceMarker)
	if !found {
		t.Fatalf("%s has lost its marker %q", referencePath, referenceMarker)
	}
	luaByHand, _, found := strings.Cut(read(t, luaKitPath), luaMarker)
	if !found {
		t.Fatalf("%s has lost its marker %q", luaKitPath, luaMarker)
	}
	for path, want := range map[string]string{
		referencePath: byHand + referenceMarker + functionReference() + reference(),
		goKitPath:     goKit(t),
		goImportsPath: goImports(t),
		luaKitPath:    luaByHand + luaMarker + luaFunctions(),
		cKitPath:      between(t, cKitPath, cKit()),
		rustKitPath:   rustKit(),
		asKitPath:     between(t, asKitPath, asKit()),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if read(t, path) != want {
			t.Errorf("%s is stale: run go generate ./hooks/host", path)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func reference() string {
	var b strings.Builder
	b.WriteString("\n## All fields\n\nr: can be read, w: can be written.\n\n| number | name | type | where | what it is |\n|---|---|---|---|---|\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s |\n", f.Field, f.Name, f.Type, where(f), strings.ReplaceAll(f.Doc, "|", `\|`))
	}
	b.WriteString("\n## The fields of each hook\n\n| hook | read | written |\n|---|---|---|\n")
	for _, hook := range hooks.All {
		names := map[host.Access][]string{}
		for _, f := range host.Fields() {
			for _, access := range []host.Access{host.Read, host.Write} {
				if f.Hooks[hook]&access != 0 {
					names[access] = append(names[access], "`"+f.Name+"`")
				}
			}
		}
		fmt.Fprintf(&b, "| `on_%s` | %s | %s |\n", hook, strings.Join(names[host.Read], ", "), strings.Join(names[host.Write], ", "))
	}
	return b.String()
}

// where lists the hooks of a field, those with the same access together.
func where(f host.Description) string {
	if _, everywhere := f.Hooks[host.Everywhere]; everywhere {
		return "everywhere (r)"
	}
	letters := map[host.Access]string{host.Read: "r", host.Write: "w", host.Read | host.Write: "rw"}
	var parts []string
	for _, access := range []host.Access{host.Read, host.Write, host.Read | host.Write} {
		var names []string
		for _, hook := range hooks.All {
			if f.Hooks[hook] == access {
				names = append(names, string(hook))
			}
		}
		if len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+" ("+letters[access]+")")
		}
	}
	return strings.Join(parts, "; ")
}

func goKit(t *testing.T) string {
	var b strings.Builder
	b.WriteString("// Code generated from hooks/host; DO NOT EDIT.\n\n//go:build wasip1\n\npackage hook\n\n// The verdicts.\nconst (\n")
	for v := hooks.Allow; v <= hooks.Pass; v++ {
		name := strings.ToUpper(v.String()[:1]) + v.String()[1:]
		fmt.Fprintf(&b, "%s Verdict = %d // %s\n", name, v, verdictDocs[v])
	}
	b.WriteString(")\n\nconst (\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "field%s int32 = %d\n", camel(f.Name), f.Field)
	}
	b.WriteString(")\n\nfunc nameOf(field int32) string {\nswitch field {\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "case field%s:\nreturn %q\n", camel(f.Name), f.Name)
	}
	b.WriteString("}\nreturn \"\"\n}\n")
	code, err := format.Source([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return string(code)
}

var verdictDocs = map[hooks.Verdict]string{
	hooks.Allow: "Yes; the next plugin is asked.",
	hooks.Deny:  "No; nobody else is asked.",
	hooks.Drop:  "In on_publish: acknowledge, and deliver to nobody. In on_audit: do not store.",
	hooks.Pass:  "No opinion; the next plugin is asked.",
}

func camel(name string) string {
	parts := strings.Split(name, "_")
	for i, p := range parts {
		if slices.Contains([]string{"id", "ttl", "kv", "http", "jwt", "url"}, p) {
			parts[i] = strings.ToUpper(p)
		} else {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

// Numbers are a promise: they follow the table's order without a gap, and names are unique.
func TestFieldsAreNumbered(t *testing.T) {
	seen := map[string]bool{}
	for i, f := range host.Fields() {
		if int(f.Field) != i+1 || seen[f.Name] || f.Doc == "" || len(f.Hooks) == 0 {
			t.Errorf("field %d at %d: %+v", f.Field, i+1, f)
		}
		seen[f.Name] = true
	}
}
