//go:build !linux

package websocket

func (c *conn) receive() error { return c.receivePlain() }
