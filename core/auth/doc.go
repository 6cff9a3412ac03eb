// Package auth verifies the tokens that clients bring, and makes tokens for development.
//
// A token is a signed JWT (RFC 7519) with the claims that Centrifugo gives a meaning to, so that a backend that issues them need
// not change. A connection token says who somebody is; a subscription token, which has a channel claim, opens that one channel to
// one user. Neither is accepted in place of the other.
//
// The package never sees a session and decides nothing: what a token grants is returned as core.Credentials or
// core.SubscribeOptions. It starts no goroutines.
package auth
