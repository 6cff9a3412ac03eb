package auth

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core/config"
)

// ErrNoSecret is returned by Sign when there is no hmac_secret.
var ErrNoSecret = errors.New("no hmac_secret to sign with")

// Sign makes a token for development that NewJWT with the same configuration accepts: signed with HS256, issued now, expiring
// after ttl (0: never), with the required audience and issuer. It writes these fields into claims.
func Sign(cfg config.JWT, claims Claims, ttl time.Duration) (string, error) {
	if cfg.HMACSecret == "" {
		return "", ErrNoSecret
	}
	secret, err := hmacSecret(cfg.HMACSecret)
	if err != nil {
		return "", err
	}
	now := time.Now()
	r := claims.registered()
	r.IssuedAt = jwt.NewNumericDate(now)
	if ttl != 0 {
		r.ExpiresAt = jwt.NewNumericDate(now.Add(ttl))
	}
	r.Issuer = cfg.Issuer
	if cfg.Audience != "" {
		r.Audience = jwt.ClaimStrings{cfg.Audience}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
}
