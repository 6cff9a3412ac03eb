package config

import (
	"fmt"
	"strings"
)

// Layer is a kind of source. A higher layer wins over a lower one.
type Layer int

// The layers, weakest first.
const (
	LayerDefault Layer = iota
	LayerDemo
	LayerFile
	LayerEnvironment
	LayerFlag
)

func (l Layer) String() string {
	return [...]string{"default", "demo", "file", "environment", "flag"}[l]
}

// MarshalText writes the layer's name.
func (l Layer) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Origin says where a value came from.
type Origin struct {
	Layer  Layer  `json:"layer"`
	Source string `json:"source,omitempty"` // The file's path, the variable's name or the flag with its dashes.
	Line   int    `json:"line,omitempty"`   // In a file, from 1; 0: not known.
}

// String returns "default", "file zenconn.yaml:3", "environment ZENCONN_CLIENT__ADDR" and the like.
func (o Origin) String() string {
	if o.Source == "" {
		return o.Layer.String()
	}
	return o.Layer.String() + " " + o.place()
}

func (o Origin) place() string {
	if o.Line > 0 {
		return fmt.Sprintf("%s:%d", o.Source, o.Line)
	}
	return o.Source
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Origin Origin
	Key    string // Empty when no key is at fault, as with a file that is missing.
	Text   string
}

// String returns one line such as "zenconn.yaml:3: client.adr: unknown key, did you mean client.addr?".
func (p Problem) String() string {
	var b strings.Builder
	if place := p.Origin.place(); place != "" {
		b.WriteString(place + ": ")
	}
	// The name of a variable or flag usually says the key already.
	if p.Key != "" && p.Origin.Source != environmentName(p.Key) && p.Origin.Source != "--"+p.Key {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error is everything that is wrong with a configuration; there is at least one problem. Nothing of such a configuration may be
// used.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "configuration: " + strings.Join(lines, "\n")
}
