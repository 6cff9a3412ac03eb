// Package lua runs plugins written in Lua 5.1: one file, whose global functions on_connect, on_publish and so on are the
// hooks.
//
// A file is compiled once. Each of a few instances runs it once from the top and then answers one call at a time. An instance
// cannot reach the machine it runs on, and is interrupted at its deadline wherever it is: in a loop, in a pattern, in a sort. What
// Lua lacks is a quota for memory, so the package is for code its owner trusts not to exhaust it on purpose.
//
// The package starts no goroutine. It knows hooks, core and hooks/host only.
package lua
