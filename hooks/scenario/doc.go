// Package scenario tests plugins without a server. A file says, for each scenario, what is there (configuration, rights, stored values, web
// servers), which events happen one after the other, and what the plugin is expected to answer, write and do; docs/plugin-testing.md is
// its reference. The plugin runs in its real runtime, asked by the chain that a server asks it by; only what lies behind the functions
// of the server is the scenario's.
//
// The package knows the contract (hooks, hooks/host, core) and no runtime: whoever runs a scenario brings what loads the plugin. Parse does
// no I/O. A Stage owns the goroutines it started until it is closed.
package scenario
