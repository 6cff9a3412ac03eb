package session

import (
	"errors"
	"io"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// next reads the next command of a frame.
func next(d *protocol.Decoder, cmd *protocol.Command) (done bool, err error) {
	err = d.Next(cmd)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// handleCommand carries out one command. It reports false when the rest of the frame is not to be heard.
func (s *Session) handleCommand(cmd *protocol.Command, now time.Time) bool {
	name, handle := route(cmd)
	if _, ended := s.queue.Ended(); ended {
		return false
	}
	if name == "" && cmd.Id == 0 { // The answer to a ping; Handle has noted the time.
		if !s.limiter.allow(now) {
			return s.refuse(0, "pong", core.ErrTooManyRequests)
		}
		return true
	}
	s.messagesIn.Add(1)
	if cmd.Id == 0 && cmd.Send == nil {
		s.hangUp(core.DisconnectBadRequest.Saying("a command needs an id"))
		return false
	}
	if !s.inOrder(cmd) {
		return false
	}
	if name == "" {
		return s.refuse(cmd.Id, "unknown", core.ErrMethodNotFound)
	}
	s.node.Metrics.Command(name).Inc()
	if !s.limiter.allow(now) {
		return s.refuse(cmd.Id, name, core.ErrTooManyRequests)
	}
	if cmd.Publish == nil {
		s.await(0)
	}
	if cmd.Publish == nil && cmd.Ping == nil {
		s.Flush() // It may have to wait for something. A publication knows by itself.
	}
	if err := handle(s, cmd); err != nil {
		return s.refuse(cmd.Id, name, err)
	}
	s.strikes = 0
	return true
}

// inOrder checks that connect comes first and once. It ends the session and reports false otherwise.
func (s *Session) inOrder(cmd *protocol.Command) bool {
	why := ""
	switch {
	case s.state == refused:
		why = "the connect command was refused"
	case s.state == opened && cmd.Connect == nil:
		why = "the first command must be connect"
	case s.state == connected && cmd.Connect != nil:
		why = "already connected"
	default:
		return true
	}
	s.hangUp(core.DisconnectBadRequest.Saying(why))
	return false
}

// route finds what carries a command out, by the one request that is set.
func route(cmd *protocol.Command) (name string, handle func(*Session, *protocol.Command) error) {
	switch {
	case cmd.Connect != nil:
		return "connect", (*Session).connect
	case cmd.Subscribe != nil:
		return "subscribe", (*Session).subscribe
	case cmd.Unsubscribe != nil:
		return "unsubscribe", (*Session).unsubscribe
	case cmd.Publish != nil:
		return "publish", (*Session).publish
	case cmd.Presence != nil:
		return "presence", (*Session).presence
	case cmd.PresenceStats != nil:
		return "presence_stats", (*Session).presenceStats
	case cmd.History != nil:
		return "history", (*Session).history
	case cmd.Ping != nil:
		return "ping", (*Session).ping
	case cmd.Send != nil:
		return "send", (*Session).send
	case cmd.Rpc != nil:
		return "rpc", (*Session).rpc
	case cmd.Refresh != nil:
		return "refresh", (*Session).refresh
	case cmd.SubRefresh != nil:
		return "sub_refresh", (*Session).subRefresh
	}
	return "", nil
}

// refuse answers a command with an error, or ends the session when the error is a disconnect. What is not meant for the client
// becomes error 100 and goes to the log. It reports false when the session ended.
func (s *Session) refuse(id uint32, name string, err error) bool {
	if d, ok := errors.AsType[core.Disconnect](err); ok {
		s.node.Metrics.Refusal(name, d.Code)
		s.hangUp(d)
		return false
	}
	s.await(0)
	coded := s.refusal(name, err)
	if id != 0 {
		s.reply(&protocol.Reply{Id: id, Error: errorOf(coded)})
	}
	return s.strike(coded)
}

// refusal counts a refused command and returns what the client is told.
func (s *Session) refusal(name string, err error) *core.Error {
	coded, ok := errors.AsType[*core.Error](err)
	if !ok {
		coded = core.ErrInternal.Because(err)
	}
	if coded.Code == core.ErrInternal.Code {
		s.node.failed.log(s.node.Log, "command", name, "session", s.id, "user", s.client.User, "error", err)
	}
	s.node.Metrics.Refusal(name, coded.Code)
	return coded
}

func errorOf(e *core.Error) *protocol.Error {
	return &protocol.Error{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
}

// strike counts refused commands that a well-behaved client does not send. Too many in a row end the session.
func (s *Session) strike(err *core.Error) bool {
	if err.Code != core.ErrBadRequest.Code && err.Code != core.ErrTooManyRequests.Code {
		return true
	}
	s.strikes++
	if most := s.node.Client.Limits.ErrorsBeforeClose; most == 0 || s.strikes < most {
		return true
	}
	if err.Code == core.ErrTooManyRequests.Code {
		s.hangUp(core.DisconnectTooManyRequests)
	} else {
		s.hangUp(core.DisconnectTooManyErrors)
	}
	return false
}

func (s *Session) ping(cmd *protocol.Command) error {
	s.reply(&protocol.Reply{Id: cmd.Id, Ping: &protocol.PingResult{}})
	return nil
}
