// Package hook is the kit for ZenConn plugins in Go. A plugin is a program for WebAssembly that exports the hooks it wants:
//
//	package main
//
//	import hook "github.com/zenconn/server/plugins/sdk/go"
//
//	func main() {} // Not called.
//
//	//go:wasmexport on_publish
//	func onPublish() hook.Verdict {
//		var ev hook.Publish
//		if len(ev.Data()) > 1000 {
//			return hook.Reject(106, "too long")
//		}
//		return hook.Pass
//	}
//
// It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o limit.wasm .
//
// An event's methods read and write the event of the running call; outside of a hook, only Config, Log and its
// like, JWTVerify, JWTSign, MetricAdd and RandomBytes work. What else the server does for a plugin (KVGet, HTTP, ServerPublish and so on) needs
// a right in its configuration. A panic,
// also one of a method that could not write a field, is a fault of the plugin: the server's log has its message. Several instances
// of a plugin run side by side, so variables must not remember anything from one call to the next.
package hook
