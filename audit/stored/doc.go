// Package stored reads events back from a store, as they were recorded. The SQL it speaks means the same in all stores. It has no
// goroutines.
package stored
