// Package settle finds the sessions that a store knows as open although the process that kept them is dead, and says how they ended.
//
// That happens when a process dies and so does everybody who would have noticed: a machine that loses its power, or an agent that is killed
// together with its workers. Who asks must know which processes live; the package believes it. It knows events and stores, nothing of
// processes and of the way to the store, and has no goroutines.
package settle
