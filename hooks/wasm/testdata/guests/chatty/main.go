//go:build wasip1

// A plugin that uses what is around the event.
package main

import (
	crand "crypto/rand"
	"fmt"
	"os"
	"time"

	hook "github.com/zenconn/server/plugins/sdk/go"
)

func main() {}

//go:wasmexport on_publish
func onPublish() hook.Verdict {
	var ev hook.Publish
	ok := true
	switch string(ev.Data()) {
	case "x":
		talk()
	case "panic":
		panic("oops")
	case "bad time":
		ev.SetExpireAt(-1)
	case "clock":
		start := time.Now()
		for time.Since(start) < time.Millisecond {
		}
		ok = start.Year() >= 2024
	case "random":
		var one, other [16]byte
		crand.Read(one[:])
		crand.Read(other[:])
		ok = one != other
	case "sleep":
		start := time.Now()
		time.Sleep(5 * time.Millisecond)
		ok = time.Since(start) >= 5*time.Millisecond
	case "nothing":
		_, err := os.Stdin.Read(make([]byte, 1))
		ok = len(os.Args) == 0 && len(os.Environ()) == 0 && err != nil
	}
	if !ok {
		return hook.Deny
	}
	return hook.Allow
}

func talk() {
	var config struct{ Greeting string }
	if err := hook.Config(&config); err != nil {
		panic(err)
	}
	hook.Log("the greeting is " + config.Greeting)
	hook.Warn("a warning")
	hook.Error("an error")
	fmt.Println("on standard output")
	fmt.Fprint(os.Stderr, "on standard error, without an end of line")
}
