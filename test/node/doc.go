// Package node runs test scripts under Node's own test runner, for peers of the server that are written in JavaScript.
package node
