//go:build wasip1

// Command profanity is a ZenConn plugin that keeps words out of messages. See its README.
package main

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

// settings is the plugin's configuration.
type settings struct {
	Words  []string `json:"words"`  // Upper and lower case make no difference.
	Action string   `json:"action"` // "mask" (the default), "deny" or "drop".
	Reason string   `json:"reason"` // For deny.
}

var (
	config settings
	words  = map[string]bool{}
)

// A mistake in the configuration stops the start of the server.
func init() {
	if err := hook.Config(&config); err != nil {
		panic(err.Error())
	}
	if len(config.Words) == 0 {
		panic("config.words is empty: there is nothing to look for")
	}
	for _, w := range config.Words {
		words[strings.ToLower(w)] = true
	}
	switch config.Action {
	case "":
		config.Action = "mask"
	case "mask", "deny", "drop":
	default:
		panic("config.action is " + config.Action + ", want mask, deny or drop")
	}
	if config.Reason == "" {
		config.Reason = "please mind your language"
	}
}

//go:wasmexport on_publish
func onPublish() hook.Verdict {
	var ev hook.Publish
	data := ev.Data()
	found := mask(data)
	switch {
	case !found:
		return hook.Pass
	case config.Action == "deny":
		return hook.Reject(400, config.Reason)
	case config.Action == "drop":
		return hook.Drop
	}
	ev.SetData(data)
	return hook.Pass
}

// mask replaces the words in place by as many bytes of stars, and reports whether there were any. A word in JSON stands between quotes,
// spaces or other signs as it does in any text, so that no JSON is read; a letter written as \u0041 is not recognized.
func mask(data []byte) (found bool) {
	for i := 0; i < len(data); {
		n := wordLength(data[i:])
		if n == 0 {
			_, size := utf8.DecodeRune(data[i:])
			i += size
			continue
		}
		if word := data[i : i+n]; words[string(bytes.ToLower(word))] {
			found = true
			for j := range word {
				word[j] = '*'
			}
		}
		i += n
	}
	return found
}

// wordLength is how many bytes of letters, digits and marks b begins with.
func wordLength(b []byte) int {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			break
		}
		n += size
	}
	return n
}
