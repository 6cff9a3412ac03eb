// Package web serves files to browsers and writes the access log.
//
// It knows nothing of sessions or WebSockets: a handler behind AccessLog may take the connection over, and the log calls that
// 101. It starts no goroutine.
package web
