package core_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/zenconn/server/core"
)

// The codes are the client protocol's: a changed one breaks every client.
func TestErrorCodes(t *testing.T) {
	for i, err := range []*core.Error{
		core.ErrInternal, core.ErrUnauthorized, core.ErrUnknownChannel, core.ErrPermissionDenied, core.ErrMethodNotFound,
		core.ErrAlreadySubscribed, core.ErrLimitExceeded, core.ErrBadRequest, core.ErrNotAvailable, core.ErrTokenExpired,
		core.ErrExpired, core.ErrTooManyRequests, core.ErrUnrecoverablePosition, core.ErrConcurrentPagination,
	} {
		if err.Code != uint32(100+i) || err.Message == "" {
			t.Errorf("%d is %v", 100+i, err)
		}
		if temporary := err == core.ErrInternal || err == core.ErrTooManyRequests; err.Temporary != temporary {
			t.Errorf("%v: temporary is %v", err, err.Temporary)
		}
	}
}

func TestError(t *testing.T) {
	err := core.ErrBadRequest.Saying("no data").Because(io.ErrUnexpectedEOF)
	if err.Message != "bad request: no data" || err.Error() != "107 bad request: no data: unexpected EOF" {
		t.Errorf("for the client %q, for the log %q", err.Message, err)
	}
	if !errors.Is(err, core.ErrBadRequest) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, core.ErrInternal) {
		t.Errorf("%v is not what it is", err)
	}
	wrapped := fmt.Errorf("publish: %w", err)
	if found, ok := errors.AsType[*core.Error](wrapped); !ok || found != err || !errors.Is(wrapped, core.ErrBadRequest) {
		t.Errorf("lost when wrapped: %v", found)
	}
	if other := (&core.Error{Code: 107, Message: "else"}); !errors.Is(err, other) || errors.Is(io.EOF, core.ErrBadRequest) {
		t.Error("errors are the same when their codes are")
	}
	// The shared errors stay as they are.
	if core.ErrBadRequest.Error() != "107 bad request" || core.ErrBadRequest.Unwrap() != nil {
		t.Errorf("the shared error became %v", core.ErrBadRequest)
	}
	if late := core.ErrInternal.Because(io.EOF).Saying("later"); !errors.Is(late, io.EOF) || !late.Temporary {
		t.Errorf("the cause is lost in %v", late)
	}
}

func TestDisconnectReconnect(t *testing.T) {
	for code, want := range map[uint32]bool{3000: true, 3499: true, 3500: false, 3999: false, 4000: true, 4499: true, 4500: false, 4999: false} {
		if got := (core.Disconnect{Code: code}).Reconnect(); got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
}

func TestDisconnectCodes(t *testing.T) {
	for want, d := range map[uint32]core.Disconnect{
		3000: core.DisconnectConnectionClosed, 3001: core.DisconnectShutdown, 3004: core.DisconnectServerError, 3005: core.DisconnectExpired,
		3006: core.DisconnectSubExpired, 3008: core.DisconnectSlow, 3009: core.DisconnectWriteError, 3010: core.DisconnectInsufficientState,
		3011: core.DisconnectForceReconnect, 3012: core.DisconnectNoPong, 3013: core.DisconnectTooManyRequests,
		3014: core.DisconnectStateInvalidated, 3500: core.DisconnectInvalidToken, 3501: core.DisconnectBadRequest,
		3502: core.DisconnectStale, 3503: core.DisconnectForceNoReconnect, 3504: core.DisconnectConnectionLimit,
		3505: core.DisconnectChannelLimit, 3506: core.DisconnectInappropriateProtocol, 3507: core.DisconnectPermissionDenied,
		3508: core.DisconnectNotAvailable, 3509: core.DisconnectTooManyErrors,
	} {
		if d.Code != want || d.Reason == "" || len(d.Reason) > 123 {
			t.Errorf("%d is %v", want, d)
		}
	}
	for want, u := range map[uint32]core.Unsubscribe{
		2000: core.UnsubscribeServer, 2500: core.UnsubscribeInsufficient, 2501: core.UnsubscribeExpired, 2502: core.UnsubscribeStateInvalidated,
	} {
		if u.Code != want || u.Reason == "" {
			t.Errorf("%d is %v", want, u)
		}
	}
}

func TestDisconnectSays(t *testing.T) {
	said := core.DisconnectInvalidToken.Saying("it belongs to another user")
	if said.Reason != "invalid token: it belongs to another user" || said.Code != 3500 {
		t.Errorf("got %v", said)
	}
	if said.Error() != "disconnect 3500 invalid token: it belongs to another user" {
		t.Errorf("for the log %q", said.Error())
	}
	if core.DisconnectInvalidToken.Reason != "invalid token" {
		t.Errorf("the shared one became %v", core.DisconnectInvalidToken)
	}
}
