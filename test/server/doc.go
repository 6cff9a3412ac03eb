// Package server runs the real zenconn binary for end-to-end tests: built once per test process, on free loopback ports, in a
// directory of its own, ended when the test ends. Proxy is a network that can break, and Control lets a test script in another
// language do both.
package server
