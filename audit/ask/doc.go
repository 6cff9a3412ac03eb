// Package ask holds the questions about the audit that have a name: what to ask in SQL that every store understands, with what from whoever
// asks, and what of the answer is worth a chart. Names of users and channels are parameters: they are never part of a statement.
//
// The package knows the tables and no store, reads nothing and prints nothing. It has no goroutines.
package ask
