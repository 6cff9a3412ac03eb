// Package api is the server's face to its operators over HTTP: metrics, health and readiness. It shows what others know and
// decides nothing.
package api
