//go:build wasip1

// Command json-schema is a ZenConn plugin that lets only those messages and calls through that a JSON Schema describes. See its README.
package main

import (
	"fmt"
	"strings"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

var rules []rule

// A mistake in the configuration stops the start of the server.
func init() {
	var raw any
	if err := hook.Config(&raw); err != nil {
		panic(err.Error())
	}
	var err error
	if rules, err = readRules(raw); err != nil {
		panic(err.Error())
	}
}

//go:wasmexport on_publish
func onPublish() hook.Verdict {
	var ev hook.Publish
	return check("channel", ev.Channel(), ev.Data)
}

//go:wasmexport on_rpc
func onRPC() hook.Verdict {
	var ev hook.RPC
	return check("method", ev.Method(), ev.Data)
}

// check reads the data only if there is a rule for it.
func check(of, name string, data func() []byte) hook.Verdict {
	var read *value
	for i := range rules {
		r := &rules[i]
		if r.of != of || !matches(r.pattern, name) {
			continue
		}
		if read == nil {
			v, err := parse(data())
			if err != nil {
				return hook.Reject(r.code, err.Error())
			}
			read = &v
		}
		if e := r.schema.check(read, 0); e != nil {
			return hook.Reject(r.code, e.Error())
		}
	}
	return hook.Pass
}

// matches says whether a name is of a pattern, in which * stands for anything.
func matches(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}

// rule is a schema, and for what it holds.
type rule struct {
	of, pattern string // "channel" or "method", and its names.
	code        int
	schema      *schema
}

// readRules reads the configuration and compiles its schemas.
func readRules(raw any) (rules []rule, err error) {
	config, _ := raw.(map[string]any)
	list, _ := config["rules"].([]any)
	if len(list) == 0 {
		return nil, fmt.Errorf("config.rules is missing or empty: there is nothing to check")
	}
	if len(config) > 1 {
		return nil, fmt.Errorf("rules is all there is in config")
	}
	for i, raw := range list {
		r, err := readRule(raw)
		if err != nil {
			return nil, fmt.Errorf("config.rules[%d]%w", i, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func readRule(raw any) (r rule, err error) {
	settings, ok := raw.(map[string]any)
	if !ok {
		return r, fmt.Errorf(" is not an object")
	}
	r.code = 107
	for key, v := range settings {
		switch key {
		case "channel", "method":
			if r.of != "" {
				return r, fmt.Errorf(" has a channel and a method: make two rules of it")
			}
			if r.pattern, ok = v.(string); !ok || r.pattern == "" {
				return r, fmt.Errorf(".%s is not a text", key)
			}
			r.of = key
		case "code":
			code, ok := v.(float64)
			if r.code = int(code); !ok || code != float64(r.code) || code < 100 || code > 4999 || code >= 2000 && code < 3000 {
				return r, fmt.Errorf(".code must be from 100 to 1999, or from 3000 to 4999 to close the connection")
			}
		case "schema":
			if r.schema, err = compile(v); err != nil {
				return r, fmt.Errorf(".schema%w", err)
			}
		default:
			return r, fmt.Errorf(".%s is unknown; a rule has channel or method, schema and code", key)
		}
	}
	if r.of == "" || r.schema == nil {
		return r, fmt.Errorf(" needs a channel or a method, and a schema")
	}
	return r, nil
}
