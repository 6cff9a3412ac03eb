// Package join is how a worker process gets to know everything from its agent, given only a connection to the bus: its name, the
// configuration and the plugins.
//
// The worker asks on one of three subjects: agent.join, which any agent answers; agent.<uid>.join, for the agent that started it; and
// agent.named.<name>.join, for an agent that may have been restarted since. The answer is small: who the worker is now, and the hash
// of the description, which holds the configuration and the list of the plugins. The description and the plugins' files are fetched by
// their hash from agent.<uid>.bundle, in chunks, so that they may be of any size and are the same from whichever agent they come. Plugins'
// files are kept in the worker's data directory, the description is not: there are secrets in it.
//
// An agent that was restarted knows nothing of its workers and need not: a worker asks again whenever the bus is back, and now and
// then, and so finds out who its agent is now and whether it would be told something else than what it runs on. Other plugins alone it
// takes while it runs; for another configuration it has to be started again.
//
// The package knows nothing of sessions, of the processes themselves, or of what the configuration means. It starts no goroutine; the
// bus runs the answers.
package join
