// Package supervise keeps a number of child processes running: it starts them with what they inherit, starts those that end again with
// growing pauses, drains them at the end, and replaces them one after the other on request.
//
// It knows processes and must not know what they do: whether one is ready is told from outside (Ready), to be drained is a SIGTERM and
// a deadline. Supervisor.Run owns all its goroutines; a Supervisor that has not run has started nothing.
//
// A supervisor that is killed leaves its children running. Each of them listens on a socket of its own in Options.Dir, which it got from
// its supervisor and answers by Inheritance.Run. By these sockets the next supervisor finds them (Find), gets back the files they
// inherited, such as a listener, takes over their output, and goes on as if they were its own. The connection that stays open in
// between tells each side of the other's end at once. Children that nobody takes over learn it from Inheritance.Run.
//
// What children write is passed on in whole lines and unchanged: a structured log stays one, and must itself say whose it is. The last
// lines on standard error are kept for the report of a crash.
package supervise
