// Package worker assembles what keeps client connections: the client listener with its endpoints and pages, the sessions, the
// hub and all they need. It knows no agent: an agent contains a worker, and later starts workers as processes of their own.
//
// Run owns every goroutine and returns after the last connection has ended.
package worker
