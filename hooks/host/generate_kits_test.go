package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

const (
	cKitPath    = "../../plugins/sdk/c/zenconn.h"
	rustKitPath = "../../plugins/sdk/rust/src/generated.rs"
	asKitPath   = "../../plugins/sdk/assemblyscript/zenconn.ts"
)

// between replaces what is generated in a file that is otherwise written by hand.
func between(t *testing.T, path, code string) string {
	t.Helper()
	const from, to = "generated from hooks/host: change it there, then run go generate ./hooks/host", "end of what is generated"
	text := read(t, path)
	before, rest, found := strings.Cut(text, from)
	line, _, _ := strings.Cut(rest, "\n")
	at := strings.Index(rest, to)
	if !found || at < 0 {
		t.Fatalf("%s has lost its marks %q and %q", path, from, to)
	}
	at = strings.LastIndex(rest[:at], "\n") + 1 // The line with the mark.
	return before + from + line + "\n" + code + rest[at:]
}

// cKit is the enumerations and the functions of the server of the kit for C.
func cKit() string {
	var b strings.Builder
	b.WriteString("\n/* The verdicts. */\nenum {\n")
	for v := hooks.Allow; v <= hooks.Pass; v++ {
		fmt.Fprintf(&b, "  ZC_%s = %d, /* %s */\n", strings.ToUpper(v.String()), v, verdictDocs[v])
	}
	b.WriteString("};\n\n/* The fields. */\nenum {\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "  ZC_%s = %d, /* %s: %s %s. */\n", strings.ToUpper(f.Name), f.Field, f.Type, f.Doc, where(f))
	}
	b.WriteString("};\n\n/* What functions of the server return; otherwise it is 0 or more, and the results are there. */\n" +
		"enum { ZC_ABSENT = -1, ZC_FAILED = -2 };\n")
	for _, f := range host.Functions() {
		var wire, params, args []string
		for _, p := range f.Params {
			switch p.Type {
			case host.Int, host.Duration:
				name := p.Name
				if p.Type == host.Duration {
					name += "_ms"
				}
				wire = append(wire, "int64_t "+name)
				params = append(params, "int64_t "+name)
				args = append(args, name)
			case host.Bool:
				wire, params, args = append(wire, "int32_t "+p.Name), append(params, "bool "+p.Name), append(args, p.Name)
			default:
				wire = append(wire, "const void *"+p.Name, "size_t "+p.Name+"_length")
				params = append(params, "zc_text "+p.Name)
				args = append(args, p.Name+".at", p.Name+".length")
			}
		}
		fmt.Fprintf(&b, "\nZC_IMPORT(%s) int32_t zc_host_%s(%s);\n\n/* %s */\n", f.Name, f.Name, strings.Join(wire, ", "),
			strings.Join(kitDocs(f, func(i int, r host.Param) string {
				return fmt.Sprintf("Result %d: %s (%s).", i, r.Name, r.Type)
			}, "ZC_ABSENT"), "\n   "))
		fmt.Fprintf(&b, "static inline int32_t zc_%s(%s) {\n  return zc_host_%s(%s);\n}\n", f.Name, strings.Join(params, ", "), f.Name, strings.Join(args, ", "))
	}
	return b.String() + "\n"
}

// kitDocs describes a function in lines. result describes a result, unless it is nil.
func kitDocs(f *host.Function, result func(i int, r host.Param) string, absent string) []string {
	first := f.Doc
	if f.Right != "" {
		first += " It needs allow." + f.Right + "."
	}
	lines := []string{first}
	for _, p := range f.Params {
		doc := p.Doc
		if p.Type == host.Duration {
			doc = "Milliseconds. " + doc
		}
		if p.Optional {
			doc = strings.TrimSpace("May be empty or 0. " + doc)
		}
		if doc != "" {
			lines = append(lines, p.Name+": "+doc)
		}
	}
	if result != nil {
		for i, r := range f.Results {
			lines = append(lines, strings.TrimSpace(result(i, r)+" "+r.Doc))
		}
	}
	if f.Absent != "" {
		lines = append(lines, absent+": "+f.Absent+".")
	}
	return lines
}

// title is the type of a hook's event.
func title(hook hooks.Hook) string {
	if hook == hooks.OnRPC {
		return "Rpc"
	}
	return strings.ToUpper(string(hook)[:1]) + string(hook)[1:]
}

// events writes the fields of each hook's event. Config and header are for all, and not among them.
func events(b *strings.Builder, begin func(hook hooks.Hook, ofClient bool), read, write func(f host.Description), end func()) {
	for _, hook := range hooks.All {
		_, ofClient := host.Fields()[host.FieldClient-1].Hooks[hook]
		begin(hook, ofClient)
		for _, f := range host.Fields() {
			if f.Field == host.FieldHeader {
				continue
			}
			if f.Hooks[hook]&host.Read != 0 {
				read(f)
			}
			if f.Hooks[hook]&host.Write != 0 {
				write(f)
			}
		}
		end()
	}
}

// rustKit is the constants, events and functions of the server of the kit for Rust.
func rustKit() string {
	var b strings.Builder
	b.WriteString("// Generated from hooks/host: change it there, then run go generate ./hooks/host.\n\nuse crate::abi::*;\nuse crate::{Event, Failure};\n" +
		"use alloc::string::String;\nuse alloc::vec::Vec;\n\n" +
		"/// What a hook returns. `reject` makes a `Deny` with a code and a reason.\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\n#[repr(i32)]\npub enum Verdict {\n")
	for v := hooks.Allow; v <= hooks.Pass; v++ {
		fmt.Fprintf(&b, "    /// %s\n    %s = %d,\n", verdictDocs[v], camel(v.String()), v)
	}
	b.WriteString("}\n\n/// The numbers of the fields, for `abi`.\npub mod field {\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "    pub const %s: i32 = %d;\n", strings.ToUpper(f.Name), f.Field)
	}
	b.WriteString("}\n")
	result := map[host.Type]string{
		host.Text: "String", host.Bytes: "Vec<u8>", host.JSON: "String", host.Int: "i64", host.Bool: "bool", host.Flag: "Option<bool>",
	}
	param := map[host.Type]string{
		host.Text: "&str", host.Bytes: "&[u8]", host.JSON: "&str", host.Int: "i64", host.Bool: "bool", host.Flag: "bool", host.Duration: "i64",
	}
	verb := map[host.Type]string{
		host.Text: "text", host.Bytes: "bytes", host.JSON: "text", host.Int: "int", host.Bool: "bool", host.Flag: "flag", host.Duration: "int",
	}
	events(&b, func(hook hooks.Hook, ofClient bool) {
		fmt.Fprintf(&b, "\n/// The event of `on_%s`.\npub struct %s(pub(crate) ());\n\nimpl Event for %[2]s {\n    fn new() -> Self {\n        %[2]s(())\n    }\n}\n\nimpl %[2]s {\n",
			hook, title(hook))
		if ofClient {
			b.WriteString("    /// A header of the handshake request; empty when there is none.\n    pub fn header(&self, name: &str) -> String {\n        header(name)\n    }\n")
		}
	}, func(f host.Description) {
		fmt.Fprintf(&b, "    /// %s\n    pub fn %s(&self) -> %s {\n        read_%s(field::%s)\n    }\n", f.Doc, f.Name, result[f.Type], verb[f.Type], strings.ToUpper(f.Name))
	}, func(f host.Description) {
		name, t, v := "set_"+f.Name, param[f.Type], verb[f.Type]
		if f.Field == host.FieldSubscription || f.Field == host.FieldGrant {
			name = "add_" + f.Name
		}
		if f.Type == host.Flag {
			v = "bool"
		}
		fmt.Fprintf(&b, "    /// %s\n    pub fn %s(&self, value: %s) {\n        write_%s(field::%s, value)\n    }\n", f.Doc, name, t, v, strings.ToUpper(f.Name))
	}, func() { b.WriteString("}\n") })

	last := ""
	for _, f := range host.Functions() {
		library, name := f.Library()
		if library != last {
			if last != "" {
				b.WriteString("}\n")
			}
			fmt.Fprintf(&b, "\n/// The functions `%s_…` of the server.\npub mod %[1]s {\n    use super::*;\n", library)
			last = library
		} else {
			b.WriteString("\n")
		}
		var wire, params, args []string
		for _, p := range f.Params {
			params = append(params, p.Name+": "+param[p.Type])
			switch p.Type {
			case host.Int, host.Duration:
				wire, args = append(wire, p.Name+": i64"), append(args, p.Name)
			case host.Bool:
				wire, args = append(wire, p.Name+": i32"), append(args, p.Name+" as i32")
			default:
				wire = append(wire, p.Name+": *const u8", p.Name+"_len: usize")
				args = append(args, p.Name+".as_ptr()", p.Name+".len()")
			}
		}
		var types, values []string
		for i, r := range f.Results {
			types, values = append(types, result[r.Type]), append(values, fmt.Sprintf("result_%s(%d)", verb[r.Type], i))
		}
		returns, value := strings.Join(types, ", "), strings.Join(values, ", ")
		if len(types) != 1 {
			returns, value = "("+returns+")", "("+value+")"
		}
		if f.Absent != "" {
			returns, value = "Option<"+returns+">", "present.then(|| "+value+")"
		} else {
			value = "{ let _ = present; " + value + " }"
		}
		for _, line := range kitDocs(f, func(_ int, r host.Param) string { return "Returns " + r.Name + "." }, "`None`") {
			fmt.Fprintf(&b, "    /// %s\n    ///\n", line)
		}
		fmt.Fprintf(&b, "    pub fn %s(%s) -> Result<%s, Failure> {\n        #[link(wasm_import_module = \"hook_v1\")]\n        extern \"C\" {\n            fn %s(%s) -> i32;\n        }\n"+
			"        outcome(unsafe { %[4]s(%[6]s) }).map(|present| %[7]s)\n    }\n",
			name, strings.Join(params, ", "), returns, f.Name, strings.Join(wire, ", "), strings.Join(args, ", "), value)
	}
	text := b.String() + "}\n"
	text = strings.ReplaceAll(text, "    ///\n    pub fn", "    pub fn")
	text = strings.ReplaceAll(text, "|present| { let _ = present; () }", "|_| ()")
	return strings.NewReplacer("|present| { let _ = present; ", "|_| ").Replace(strings.ReplaceAll(text, " })\n    }\n", ")\n    }\n"))
}

// asKit is the constants, events and functions of the server of the kit for AssemblyScript.
func asKit() string {
	var b strings.Builder
	b.WriteString("\n/** What a hook returns. `reject` makes a `Deny` with a code and a reason. */\nexport enum Verdict {\n")
	for v := hooks.Allow; v <= hooks.Pass; v++ {
		fmt.Fprintf(&b, "  /** %s */\n  %s = %d,\n", verdictDocs[v], camel(v.String()), v)
	}
	b.WriteString("}\n\nenum Field {\n")
	for _, f := range host.Fields() {
		fmt.Fprintf(&b, "  %s = %d,\n", f.Name, f.Field)
	}
	b.WriteString("}\n")
	result := map[host.Type]string{
		host.Text: "string", host.Bytes: "string", host.JSON: "string", host.Int: "i64", host.Bool: "bool", host.Flag: "bool", host.Duration: "i64",
	}
	events(&b, func(hook hooks.Hook, ofClient bool) {
		fmt.Fprintf(&b, "\n/** The event of on_%s. */\nexport class %s {\n", hook, title(hook))
		if ofClient {
			b.WriteString("  /** A header of the handshake request; empty when there is none. */\n  header(name: string): string {\n    return readHeader(name);\n  }\n")
		}
	}, func(f host.Description) {
		switch f.Type {
		case host.Int:
			fmt.Fprintf(&b, "  /** %s */\n  get %s(): i64 {\n    return readInt(Field.%[2]s);\n  }\n", f.Doc, f.Name)
		case host.Bool:
			fmt.Fprintf(&b, "  /** %s */\n  get %s(): bool {\n    return readFlag(Field.%[2]s) == 1;\n  }\n", f.Doc, f.Name)
		case host.Flag:
			fmt.Fprintf(&b, "  /** %s */\n  get %s(): bool {\n    return readFlag(Field.%[2]s) == 1;\n  }\n  /** Whether %[2]s has a value. */\n  get has_%[2]s(): bool {\n    return readFlag(Field.%[2]s) >= 0;\n  }\n", f.Doc, f.Name)
		default:
			fmt.Fprintf(&b, "  /** %s */\n  get %s(): string {\n    return readText(Field.%[2]s);\n  }\n", f.Doc, f.Name)
			if f.Type == host.Bytes {
				fmt.Fprintf(&b, "  /** The same as bytes, which need not be UTF-8. */\n  get %s_bytes(): ArrayBuffer {\n    return readBytes(Field.%[1]s);\n  }\n", f.Name)
			}
		}
	}, func(f host.Description) {
		verb := "write" + map[host.Type]string{host.Int: "Int", host.Bool: "Bool", host.Flag: "Bool"}[f.Type]
		if verb == "write" {
			verb = "writeText"
		}
		switch {
		case f.Field == host.FieldSubscription || f.Field == host.FieldGrant:
			fmt.Fprintf(&b, "  /** %s */\n  add_%s(json: string): void {\n    writeText(Field.%[2]s, json);\n  }\n", f.Doc, f.Name)
		default:
			fmt.Fprintf(&b, "  set %s(value: %s) {\n    %s(Field.%[1]s, value);\n  }\n", f.Name, result[f.Type], verb)
			if f.Type == host.Bytes {
				fmt.Fprintf(&b, "  set %s_bytes(value: ArrayBuffer) {\n    writeBytes(Field.%[1]s, value);\n  }\n", f.Name)
			}
		}
	}, func() { b.WriteString("}\n") })

	last := ""
	var imports strings.Builder
	for _, f := range host.Functions() {
		library, name := f.Library()
		if name == "delete" { // A word of the language.
			name = "remove"
		}
		if library != last {
			if last != "" {
				b.WriteString("}\n")
			}
			fmt.Fprintf(&b, "\n/** The functions %s_… of the server. */\nexport namespace %[1]s {\n", library)
			last = library
		} else {
			b.WriteString("\n")
		}
		// What may be left out has a default, where nothing follows that may not.
		optional := len(f.Params)
		for optional > 0 && f.Params[optional-1].Optional {
			optional--
		}
		var wire, params, before, args []string
		for i, p := range f.Params {
			t := result[p.Type]
			fallback := `""`
			switch p.Type {
			case host.Int, host.Duration:
				fallback = "0"
				wire, args = append(wire, p.Name+": i64"), append(args, p.Name)
			case host.Bool:
				fallback = "false"
				wire, args = append(wire, p.Name+": i32"), append(args, p.Name)
			case host.Bytes:
				t, fallback = "ArrayBuffer", "new ArrayBuffer(0)"
				wire = append(wire, p.Name+": usize", p.Name+"_len: i32")
				args = append(args, "changetype<usize>("+p.Name+")", p.Name+".byteLength")
			default:
				wire = append(wire, p.Name+": usize", p.Name+"_len: i32")
				before = append(before, fmt.Sprintf("    const %s_ = utf8(%[1]s);\n", p.Name))
				args = append(args, "changetype<usize>("+p.Name+"_)", p.Name+"_.byteLength")
			}
			if i < optional {
				fallback = ""
			} else {
				fallback = " = " + fallback
			}
			params = append(params, p.Name+": "+t+fallback)
		}
		lines := kitDocs(f, func(i int, r host.Param) string { return fmt.Sprintf("Result %d: %s (%s).", i, r.Name, r.Type) }, "absent")
		fmt.Fprintf(&b, "  /**\n   * %s\n   */\n  export function %s(%s): Outcome {\n%s    return new Outcome(host_%s(%s));\n  }\n",
			strings.Join(lines, "\n   * "), name, strings.Join(params, ", "), strings.Join(before, ""), f.Name, strings.Join(args, ", "))
		fmt.Fprintf(&imports, "\n// @ts-ignore: a decorator\n@external(\"hook_v1\", \"%s\")\ndeclare function host_%[1]s(%s): i32;\n", f.Name, strings.Join(wire, ", "))
	}
	return b.String() + "}\n" + imports.String() + "\n"
}
