package core

import "fmt"

// Error is a refusal the client is told about: a code of the client protocol with a sentence. The cause stays in the
// server, for the log.
type Error struct {
	Code      uint32
	Message   string
	Temporary bool // The same command may succeed later.
	cause     error
}

// The errors of the client protocol (Centrifuge protocol v2, error codes). Codes 400 to 1999 are free for plugins.
var (
	ErrInternal              = &Error{Code: 100, Message: "internal server error", Temporary: true}
	ErrUnauthorized          = &Error{Code: 101, Message: "unauthorized"}
	ErrUnknownChannel        = &Error{Code: 102, Message: "unknown channel"}
	ErrPermissionDenied      = &Error{Code: 103, Message: "permission denied"}
	ErrMethodNotFound        = &Error{Code: 104, Message: "method not found"}
	ErrAlreadySubscribed     = &Error{Code: 105, Message: "already subscribed"}
	ErrLimitExceeded         = &Error{Code: 106, Message: "limit exceeded"}
	ErrBadRequest            = &Error{Code: 107, Message: "bad request"}
	ErrNotAvailable          = &Error{Code: 108, Message: "not available"}
	ErrTokenExpired          = &Error{Code: 109, Message: "token expired"}
	ErrExpired               = &Error{Code: 110, Message: "expired"}
	ErrTooManyRequests       = &Error{Code: 111, Message: "too many requests", Temporary: true}
	ErrUnrecoverablePosition = &Error{Code: 112, Message: "unrecoverable position"}
	ErrConcurrentPagination  = &Error{Code: 113, Message: "concurrent pagination"}
)

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%d %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%d %s", e.Code, e.Message)
}

// Unwrap returns the cause, which never leaves the server.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an Error of the same code, so that errors.Is(err, ErrBadRequest) holds for every bad request.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Because returns a copy of e with a cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Saying returns a copy of e whose sentence for the client is "<message>: <why>". The sentence must not reveal anything
// about the server's inside.
func (e *Error) Saying(why string) *Error {
	c := *e
	c.Message += ": " + why
	return &c
}
