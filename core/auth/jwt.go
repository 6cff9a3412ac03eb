package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
)

// ErrInvalidToken is wrapped by every refusal of a token but the one for its age, which is core.ErrTokenExpired. The text says
// why, for the log, and holds neither the token nor a key.
var ErrInvalidToken = errors.New("invalid token")

// maxToken bounds tokens, in bytes. A token that one would put into a header or a URL is far smaller.
const maxToken = 16 << 10

// maxLife is the longest time, in seconds, for which anything a token opened is said to live: about 68 years. The client protocol
// says it in 32 bits.
const maxLife = 1<<31 - 1

// JWT verifies tokens. It is immutable and safe for concurrent use.
type JWT struct {
	parser *jwt.Parser    // Form, algorithm and signature.
	claims *jwt.Validator // Everything but the age.
	age    *jwt.Validator
	secret []byte
	public any
}

// NewJWT makes a verifier. It reads the file of the public key when one is configured. The algorithms it accepts follow from the
// keys alone, never from what a token says.
func NewJWT(cfg config.JWT) (*JWT, error) {
	j := &JWT{}
	var algorithms []string
	if cfg.HMACSecret != "" {
		secret, err := hmacSecret(cfg.HMACSecret)
		if err != nil {
			return nil, err
		}
		j.secret = secret
		algorithms = append(algorithms, "HS256", "HS384", "HS512")
	}
	if cfg.PublicKey != "" {
		key, more, err := publicKey(cfg.PublicKey)
		if err != nil {
			return nil, err
		}
		j.public = key
		algorithms = append(algorithms, more...)
	}
	if len(algorithms) == 0 {
		return nil, errors.New("no key to verify tokens with: set hmac_secret or public_key")
	}
	j.parser = jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

	options := []jwt.ParserOption{jwt.WithLeeway(cfg.Leeway)}
	if cfg.RequireExpiry {
		j.age = jwt.NewValidator(append(options, jwt.WithExpirationRequired())...)
	} else {
		j.age = jwt.NewValidator(options...)
	}
	options = append(options, jwt.WithIssuedAt())
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	j.claims = jwt.NewValidator(options...)
	return j, nil
}

// Connect verifies a connection token. One without sub is for an anonymous client, whom nothing is granted beyond what the token
// says.
//
// The error is core.ErrTokenExpired when nothing but its age is wrong with the token; otherwise it wraps ErrInvalidToken.
func (j *JWT) Connect(token string) (core.Credentials, error) {
	var claims ConnectClaims
	if err := j.verify(token, &claims); err != nil {
		return core.Credentials{}, invalid(err)
	}
	c, err := claims.credentials()
	if err != nil {
		return core.Credentials{}, invalid(err)
	}
	if c.ExpireAt, err = j.expiry(&claims.RegisteredClaims, claims.ExpireAt); err != nil {
		return core.Credentials{}, err
	}
	return c, nil
}

// Subscribe verifies a subscription token that somebody brought for a channel: it must be for this channel and this user (both
// anonymous counts), and, when it names a client, for this client. The errors are those of Connect.
func (j *JWT) Subscribe(token, user, client, channel string) (core.SubscribeOptions, error) {
	var claims SubscribeClaims
	if err := j.verify(token, &claims); err != nil {
		return core.SubscribeOptions{}, invalid(err)
	}
	if err := claims.isFor(user, client, channel); err != nil {
		return core.SubscribeOptions{}, invalid(err)
	}
	opts, err := claims.options()
	if err != nil {
		return core.SubscribeOptions{}, invalid(err)
	}
	if opts.ExpireAt, err = j.expiry(&claims.RegisteredClaims, claims.ExpireAt); err != nil {
		return core.SubscribeOptions{}, err
	}
	return opts, nil
}

func invalid(cause error) error { return fmt.Errorf("%w: %w", ErrInvalidToken, cause) }

// payload keeps claims as they came. Nothing in them is interpreted before the signature was verified.
type payload struct {
	jwt.Claims // Never asked: the parser validates no claims.
	raw        []byte
}

func (p *payload) UnmarshalJSON(b []byte) error {
	p.raw = append(p.raw, b...)
	return nil
}

// verify checks all of a token but its age, and decodes its claims.
func (j *JWT) verify(token string, claims Claims) error {
	if len(token) > maxToken {
		return fmt.Errorf("longer than %d bytes", maxToken)
	}
	var p payload
	if _, err := j.parser.ParseWithClaims(token, &p, j.key); err != nil {
		return err
	}
	if err := json.Unmarshal(p.raw, claims); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	return j.claims.Validate(ageless{claims.registered()})
}

// ageless are claims that do not expire.
type ageless struct{ *jwt.RegisteredClaims }

func (ageless) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// key returns the key for a token's algorithm, which is one of the accepted.
func (j *JWT) key(token *jwt.Token) (any, error) {
	if _, critical := token.Header["crit"]; critical {
		return nil, errors.New("the header demands extensions that are not understood (RFC 7515 §4.1.11)")
	}
	if _, ok := token.Method.(*jwt.SigningMethodHMAC); ok {
		return j.secret, nil
	}
	return j.public, nil
}

// expiry checks the age of a token, and says when what it opened expires, in Unix seconds: at exp, unless expire_at says otherwise
// (0 or less: never). A token that lives on by the leeway alone opens something that must be refreshed at once.
//
// The far future is cut to maxLife from now, so that nobody's arithmetic overflows.
func (j *JWT) expiry(claims *jwt.RegisteredClaims, expireAt *int64) (int64, error) {
	if err := j.age.Validate(claims); errors.Is(err, jwt.ErrTokenExpired) {
		return 0, core.ErrTokenExpired
	} else if err != nil {
		return 0, invalid(err)
	}
	now := time.Now().Unix()
	switch {
	case expireAt != nil:
		return min(max(*expireAt, 0), now+maxLife), nil
	case claims.ExpiresAt != nil:
		return min(max(claims.ExpiresAt.Unix(), now+1), now+maxLife), nil
	}
	return 0, nil
}
