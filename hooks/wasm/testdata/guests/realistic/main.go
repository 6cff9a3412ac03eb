//go:build wasip1

// What plugins usually do: look at the channel, write the user before an upper-case text.
package main

import (
	"bytes"
	"strings"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

//go:wasmexport on_publish
func onPublish() hook.Verdict {
	var ev hook.Publish
	if !strings.HasPrefix(ev.Channel(), "room:") {
		return hook.Reject(403, "rooms only")
	}
	ev.SetData(append([]byte(ev.User()+": "), bytes.ToUpper(ev.Data())...))
	return hook.Allow
}
