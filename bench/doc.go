// Package bench is the load generator behind `zenconn bench`: it opens many client connections, makes them talk, and counts every
// message that had to arrive.
//
// A run is worth something only when nothing is missing, so every publication carries its stream, its number and the time it was
// meant to be sent, and every subscriber checks that each number arrives once and in order. And it must cost less than what it
// measures, because it usually shares the machine with the server: it brings its own small WebSocket client, reads many
// connections from few event loops, and looks at a delivered message only as far as the mark in its payload. Its own CPU time
// stands beside the server's in the report.
//
// It speaks the client protocol alone and knows nothing of the server's inside, so that it measures any server of that protocol.
// Run owns every goroutine and connection and returns after they ended.
package bench
