// Package registry knows which sessions there are in the whole installation. Every process has a Sender, which announces the sessions it
// keeps as they open and close, and tells who listens to $system:sessions. Every agent has a Registry, which keeps the list of all,
// answers questions about it, and closes the sessions of processes that were lost, in the list and in the audit.
//
// Changes of a process are numbered, without gaps, in the order they happened, and travel in batches that anybody may lose. Who sees a
// gap, or has just begun, asks the process for its list, page by page, and applies the changes that come meanwhile: see list.go for why
// nothing is missed. The processes' own lists are the truth; nothing is stored, so an agent that starts anew asks and knows.
//
// The package must not know how the processes of the cluster find each other (core/cluster tells), nor what a session does.
// Sender.Run and Registry.Run own all goroutines.
package registry
