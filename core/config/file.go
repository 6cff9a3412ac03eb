package config

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
	tomlparser "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	yamlparser "go.yaml.in/yaml/v3"
)

// readFile reads one configuration file.
func readFile(path string) (layer, []Problem) {
	origin := Origin{Layer: LayerFile, Source: path}
	refuse := func(text string) (layer, []Problem) { return layer{}, []Problem{{Origin: origin, Text: text}} }

	var parser koanf.Parser
	index := indexYAML // Of which JSON is a part.
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		parser = yaml.Parser()
	case ".toml":
		parser, index = toml.Parser(), indexTOML
	case ".json":
		parser = json.Parser()
	default:
		return refuse("unknown kind of file, the name must end in .yaml, .yml, .toml or .json")
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("there is no such file")
	}
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // The path is said already.
		}
		return refuse("cannot be read: " + err.Error())
	}
	tree, err := parser.Unmarshal(data)
	if err != nil {
		return layer{}, syntaxProblems(origin, data, err)
	}
	lines, problems := index(origin, data)
	return layer{origin: origin, tree: tree, lines: lines}, problems
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// syntaxProblems turns a parser's error into one problem per line of text, each at its line of the file if the parser knew it.
func syntaxProblems(origin Origin, data []byte, err error) []Problem {
	if broken, ok := errors.AsType[*tomlparser.DecodeError](err); ok {
		origin.Line, _ = broken.Position()
		return []Problem{{Origin: origin, Text: strings.TrimPrefix(broken.Error(), "toml: ")}}
	}
	if broken, ok := errors.AsType[*stdjson.SyntaxError](err); ok {
		origin.Line = 1 + bytes.Count(data[:min(int(broken.Offset), len(data))], []byte("\n"))
		return []Problem{{Origin: origin, Text: broken.Error()}}
	}
	if _, ok := errors.AsType[*stdjson.UnmarshalTypeError](err); ok {
		return []Problem{{Origin: origin, Text: "want " + wanted(freeType)}}
	}
	var problems []Problem
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if line == "yaml: unmarshal errors:" || line == "" {
			continue
		}
		at := origin
		if m := yamlLine.FindStringSubmatch(line); m != nil {
			at.Line, _ = strconv.Atoi(m[1])
			line = m[2]
		}
		if strings.Contains(line, "cannot unmarshal") {
			line = "want " + wanted(freeType)
		}
		problems = append(problems, Problem{Origin: at, Text: strings.TrimPrefix(line, "yaml: ")})
	}
	return problems
}

// lines holds the line of every key of a file.
type lines map[string]int

// indexYAML finds the lines of all keys. It also finds what the parsers pass over in silence: keys that a JSON file holds twice, and
// documents after the first.
func indexYAML(origin Origin, data []byte) (lines, []Problem) {
	decoder := yamlparser.NewDecoder(bytes.NewReader(data))
	var document, second yamlparser.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		return nil, nil // Empty, or JSON that YAML cannot read.
	}
	found := lines{}
	problems := found.addYAML(origin, "", document.Content[0])
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		origin.Line = second.Line
		problems = append(problems, Problem{Origin: origin, Text: "the file holds a second document, only one is read"})
	}
	return found, problems
}

func (l lines) addYAML(origin Origin, path string, node *yamlparser.Node) (problems []Problem) {
	switch node.Kind {
	case yamlparser.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			key := join(path, name.Value)
			if _, twice := l[key]; twice && name.Value != "<<" {
				at := origin
				at.Line = name.Line
				problems = append(problems, Problem{Origin: at, Key: key, Text: "the key is there twice"})
			}
			l[key] = name.Line
			problems = append(problems, l.addYAML(origin, key, value)...)
		}
	case yamlparser.SequenceNode:
		for i, value := range node.Content {
			l[element(path, i)] = value.Line
			problems = append(problems, l.addYAML(origin, element(path, i), value)...)
		}
	}
	return problems
}

// indexTOML finds the lines of all keys outside inline tables. The parser itself refuses keys that are there twice.
func indexTOML(_ Origin, data []byte) (lines, []Problem) {
	var parser unstable.Parser
	parser.Reset(data)
	found, elements, table := lines{}, map[string]int{}, ""
	for parser.NextExpression() {
		expression := parser.Expression()
		path := table
		if expression.Kind != unstable.KeyValue {
			path = ""
		}
		for it := expression.Key(); it.Next(); {
			path = join(path, string(it.Node().Data))
			found[path] = 1 + bytes.Count(data[:it.Node().Raw.Offset], []byte("\n"))
			// A table below an array of tables belongs to the array's last element.
			if n := elements[path]; n > 0 && !it.IsLast() {
				path = element(path, n-1)
			}
		}
		switch expression.Kind {
		case unstable.ArrayTable:
			elements[path]++
			table = element(path, elements[path]-1)
			found[table] = found[path]
		case unstable.Table:
			table = path
		}
	}
	return found, nil
}
