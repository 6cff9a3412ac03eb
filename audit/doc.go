// Package audit is the record of what happened: the events, the recorder that gathers them into batches off the path of the
// messages, and the contract of the sinks that store them (audit/sqlite, audit/clickhouse).
//
// The package knows core only. The recorder owns the one goroutine that talks to the sink; producers never wait for it.
package audit
