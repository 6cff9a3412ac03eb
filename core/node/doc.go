// Package node is what every process of an installation has, agent or worker: the plugins, the recorder of the audit, the
// histories, and a worker that keeps its clients, if it has any. It is made of a configuration, the bus and a sink that were opened
// by who runs the process.
//
// Run owns every goroutine. It starts from the inside out and ends from the outside in: clients, plugins, histories, audit.
package node
