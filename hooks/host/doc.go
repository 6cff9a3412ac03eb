// Package host is what the plugin runtimes share. There is the pool of a plugin's instances, its way into the server's log, and the
// functions that the server has for plugins (a store, web requests, tokens, passwords and so on), behind a check of what each plugin
// may use. And there are the tables of the fields that events have and of these functions, from which the runtimes make their calls,
// and the reference and the kits are generated.
//
// It knows hooks and core only; the store, the server and the metrics are given to it behind interfaces. Its goroutines are those in
// which the pool makes instances, which Pool.Close waits for; those of Services.Run; and those of a plugin's connections to web
// servers, which Plugin.Close ends.
package host
