// Package wasm runs plugins written in anything that compiles to WebAssembly, for people who need not be trusted: each call has a
// deadline that holds, each instance a memory of its own with a limit, and nothing outside is in reach but the functions of the
// host module hook_v1 and a few of WASI. docs/hook-abi.md describes them.
//
// A file becomes a Plugin, metered by hooks/wasm/meter, compiled once and run by a pool of instances. The package knows hooks,
// core and hooks/host. It must not learn who asks. Its only goroutines are those in which the pool makes instances; Close waits for them.
package wasm
