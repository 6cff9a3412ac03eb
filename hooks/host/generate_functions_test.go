package host_test

import (
	"fmt"
	"go/format"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks/host"
)

// functionReference is the table of the functions of the server, the way a module imports them.
func functionReference() string {
	var b strings.Builder
	b.WriteString("\n## Functions of the server\n\n")
	for _, f := range host.Functions() {
		right := "Every plugin may use it."
		if f.Right != "" {
			right = "It needs `allow." + f.Right + "`."
		}
		fmt.Fprintf(&b, "### `%s`\n\n```\n%s(%s) -> status\n```\n\n%s %s\n\n", f.Name, f.Name, strings.Join(wasmParams(f), ", "), f.Doc, right)
		b.WriteString("| | name | type | |\n|---|---|---|---|\n")
		for _, p := range f.Params {
			optional := ""
			if p.Optional {
				optional = "May be empty or 0. "
			}
			fmt.Fprintf(&b, "| parameter | `%s` | %s | %s |\n", p.Name, p.Type, optional+p.Doc)
		}
		for i, p := range f.Results {
			fmt.Fprintf(&b, "| result %d | `%s` | %s | %s |\n", i, p.Name, p.Type, p.Doc)
		}
		if f.Absent != "" {
			fmt.Fprintf(&b, "\n-1: %s.\n", f.Absent)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func wasmParams(f *host.Function) []string {
	var params []string
	for _, p := range f.Params {
		switch p.Type {
		case host.Int, host.Duration:
			params = append(params, p.Name+": i64")
		case host.Bool:
			params = append(params, p.Name)
		default:
			params = append(params, p.Name+"_ptr", p.Name+"_len")
		}
	}
	return params
}

// goImports are the functions of the server as the kit for Go imports them.
func goImports(t *testing.T) string {
	var b strings.Builder
	b.WriteString("// Code generated from hooks/host; DO NOT EDIT.\n\n//go:build wasip1\n\npackage hook\n\nimport \"unsafe\"\n")
	for _, f := range host.Functions() {
		var params []string
		for _, p := range f.Params {
			switch p.Type {
			case host.Int, host.Duration:
				params = append(params, p.Name+" int64")
			case host.Bool:
				params = append(params, p.Name+" int32")
			default:
				params = append(params, p.Name+" unsafe.Pointer", p.Name+"Size int32")
			}
		}
		fmt.Fprintf(&b, "\n//go:wasmimport hook_v1 %s\nfunc host%s(%s) int32\n", f.Name, camel(f.Name), strings.Join(params, ", "))
	}
	code, err := format.Source([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return string(code)
}

// luaFunctions describes the functions of the server to the Lua language server.
func luaFunctions() string {
	types := map[host.Type]string{
		host.Text: "string", host.Bytes: "string", host.JSON: "table<string, any>", host.Int: "integer", host.Duration: "number", host.Bool: "boolean",
	}
	var b strings.Builder
	last := ""
	for _, f := range host.Functions() {
		library, name := f.Library()
		if library != last {
			fmt.Fprintf(&b, "\n%s = {}\n", library)
			last = library
		}
		right := ""
		if f.Right != "" {
			right = " It needs allow." + f.Right + "."
		}
		fmt.Fprintf(&b, "\n---%s%s\n", f.Doc, right)
		var names []string
		for _, p := range f.Params {
			names = append(names, p.Name)
			optional, doc := "", p.Doc
			if p.Optional {
				optional = "?"
			}
			if p.Type == host.Duration {
				doc = "Seconds. " + doc
			}
			b.WriteString(strings.TrimSpace(fmt.Sprintf("---@param %s%s %s %s", p.Name, optional, types[p.Type], doc)) + "\n")
		}
		absent := ""
		if f.Absent != "" {
			absent = " nil: " + f.Absent + "."
		}
		switch len(f.Results) {
		case 0:
			b.WriteString("---@return true? done\n---@return string? reason Why it could not be done.\n")
		case 1:
			fmt.Fprintf(&b, "---@return %s? %s%s\n---@return string? reason Why it could not be done.\n", types[f.Results[0].Type], f.Results[0].Name, absent)
		default:
			fmt.Fprintf(&b, "---@return %s? %s%s\n", types[f.Results[0].Type], f.Results[0].Name, absent)
			fmt.Fprintf(&b, "---@return %s|string|nil %s Or why it could not be done.\n", types[f.Results[1].Type], f.Results[1].Name)
			for _, r := range f.Results[2:] {
				fmt.Fprintf(&b, "---@return %s? %s\n", types[r.Type], r.Name)
			}
		}
		fmt.Fprintf(&b, "function %s.%s(%s) end\n", library, name, strings.Join(names, ", "))
	}
	return b.String()
}

// What the table says fits into the calls and into the kits.
func TestFunctionsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range host.Functions() {
		if !regexp.MustCompile(`^[a-z]+_[a-z]+$`).MatchString(f.Name) || seen[f.Name] || !strings.HasSuffix(f.Doc, ".") ||
			len(f.Params) > host.MaxParams || len(f.Results) > host.MaxResults || strings.HasSuffix(f.Absent, ".") {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
		optional := false
		for _, p := range slices.Concat(f.Params, f.Results) {
			if p.Name == "" || !slices.Contains([]host.Type{host.Text, host.Bytes, host.JSON, host.Int, host.Bool, host.Duration}, p.Type) {
				t.Errorf("%s: %+v", f.Name, p)
			}
		}
		for _, p := range f.Params {
			if optional && !p.Optional && f.Right != "unsubscribe" { // There, one of two is enough, before the channel.
				t.Errorf("%s: %s comes after what may be left out", f.Name, p.Name)
			}
			optional = p.Optional
		}
	}
}
