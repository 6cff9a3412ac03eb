// Package hooks is the contract between the server and the code of its owner: the events a plugin is asked about, the verdicts
// it answers with, and the chain that asks the plugins in their configured order.
//
// A plugin implements only the hooks it wants, each a one-method interface. The runtimes (hooks/lua, hooks/wasm) turn a file
// into a Plugin. The package knows core only; it never learns who asks.
package hooks
