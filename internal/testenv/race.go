//go:build race

package testenv

// Race says that the race detector is on, under which allocations are others.
const Race = true
