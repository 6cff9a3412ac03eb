package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

//go:generate go test . -run TestGenerated -update

var update = flag.Bool("update", false, "write the generated files anew")

const (
	documentPath   = "../../docs/configuration.md"
	annotatedPath  = "../../configs/zenconn.yaml"
	documentMarker = "<!-- Generated from core/config from here on: change it there, then run `go generate ./core/config`. -->\n"

	annotatedHead = `# The default configuration of ZenConn, every key with its documentation.
#
# A configuration file needs only the keys that differ. A server that runs on exactly this file admits nobody whom no plugin
# admits, and knows no channel: see production.yaml for one that does something, and docs/configuration.md for the rules.
#
# Generated from core/config: change it there, then run "go generate ./core/config".

`
)

// The documentation of the keys and the annotated default configuration are written from the code; the text above the marker is
// written by hand.
func TestGenerated(t *testing.T) {
	document := read(t, documentPath)
	byHand, _, found := strings.Cut(document, documentMarker)
	if !found {
		t.Fatalf("%s has lost its marker %q", documentPath, documentMarker)
	}
	for path, want := range map[string]string{
		documentPath:  byHand + documentMarker + reference(t),
		annotatedPath: annotatedHead + string((&Loaded{Config: Default()}).YAML(false)),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if read(t, path) != want {
			t.Errorf("%s is stale: run go generate ./core/config", path)
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

// reference is the table of all keys.
func reference(t *testing.T) string {
	demo, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	w := &referenceWriter{}
	w.WriteString("\n## All keys\n")
	var general []string
	root := reflect.ValueOf(Default())
	for _, f := range fields(root.Type()) {
		if !isSection(f.typ) && !isNamed(f.typ) {
			general = append(general, f.name)
			continue
		}
		w.heading(f.name)
		switch value := root.Field(f.index); {
		case isNamed(f.typ):
			w.row(f.name, f, value)
			w.section(f.name+".NAME", reflect.ValueOf(DefaultNamespace()))
		default:
			w.section(f.name, value)
		}
	}
	w.heading(strings.Join(general, ", "))
	for _, name := range general {
		f, _ := findField(root.Type(), name)
		w.row(name, f, root.Field(f.index))
	}
	w.WriteString("\n## Values of the demo mode\n\nWhat the demo mode sets otherwise than the defaults.\n\n| key | value |\n|---|---|\n")
	for _, v := range demo.Values() {
		if v.Origin.Layer == LayerDemo {
			fmt.Fprintf(w, "| `%s` | `%s` |\n", v.Key, v.Text())
		}
	}
	return w.String()
}

type referenceWriter struct{ strings.Builder }

func (w *referenceWriter) heading(text string) {
	fmt.Fprintf(w, "\n### %s\n\n| key | type | default | environment variable | meaning |\n|---|---|---|---|---|\n", text)
}

func (w *referenceWriter) section(path string, section reflect.Value) {
	for _, f := range fields(section.Type()) {
		key, value := join(path, f.name), section.Field(f.index)
		if isSection(f.typ) {
			w.section(key, value)
			continue
		}
		w.row(key, f, value)
		if isList(f.typ) {
			w.section(key+"[]", reflect.New(f.typ.Elem()).Elem())
		}
	}
}

func (w *referenceWriter) row(key string, f field, value reflect.Value) {
	byDefault := Value{Value: plain(value)}.Text()
	variable := "`" + environmentName(key) + "`"
	if strings.Contains(key, "[]") {
		variable = "in the list"
		if value.IsZero() {
			byDefault = ""
		}
	}
	if byDefault != "" {
		byDefault = "`" + byDefault + "`"
	}
	doc := strings.ReplaceAll(f.doc, "|", `\|`)
	if f.secret != "" {
		doc += " Secret."
	}
	fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", key, typeName(f.typ), byDefault, variable, strings.ReplaceAll(doc, "*", `\*`))
}
