// Package host is what the plugin runtimes share: the pool of a plugin's instances, its way into the server's log, and the table
// of the fields that events have in the Wasm ABI, from which the reference and the constants of the kits are generated. It knows
// hooks and core only.
package host
