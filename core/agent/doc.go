// Package agent is a whole instance: it opens what the configuration names (data directory, audit store, plugins, listeners),
// contains a worker, serves the operators' API, and ends everything in order.
//
// Run owns every goroutine. It starts from the inside out and ends from the outside in: clients, plugins, audit.
package agent
