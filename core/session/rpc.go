package session

import (
	"context"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// rpc has a plugin answer a call.
func (s *Session) rpc(cmd *protocol.Command) error {
	if !s.node.Hooks.Has(hooks.OnRPC) {
		return core.ErrMethodNotFound
	}
	event := &hooks.RPC{Client: s.client, Method: cmd.Rpc.Method, Input: cmd.Rpc.Data}
	answer := s.node.Hooks.Call(context.Background(), event)
	switch answer.Verdict {
	case hooks.Allow:
		s.reply(&protocol.Reply{Id: cmd.Id, Rpc: &protocol.RPCResult{Data: event.Reply}})
		return nil
	case hooks.Deny, hooks.Drop:
		return denial(answer)
	case hooks.Pass:
	}
	return core.ErrMethodNotFound
}

// send hands a one-way message to the plugins. When none takes such, swallowing it would deceive the client.
func (s *Session) send(cmd *protocol.Command) error {
	if !s.node.Hooks.Has(hooks.OnSend) {
		return core.DisconnectNotAvailable.Saying("this server takes no one-way messages")
	}
	answer := s.node.Hooks.Send(context.Background(), &hooks.Send{Client: s.client, Input: cmd.Send.Data})
	if answer.Verdict == hooks.Deny {
		return denial(answer) // An error has no way to the client; it is counted, and the plugin's decision recorded.
	}
	return nil
}
