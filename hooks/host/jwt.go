package host

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// The limits of tokens, in bytes.
const (
	maxToken  = 16 << 10
	maxClaims = 8 << 10
)

// The shortest keys, after RFC 7518 §3.2 and §3.3.
const (
	minSecret  = 32 // Bytes.
	minRSABits = 2048
)

// Key is what a plugin signs and verifies tokens with: a secret, or a key in PEM. The algorithm follows from it, and cannot be chosen by
// whoever brings a token.
type Key struct {
	Algorithm string `json:"algorithm,omitempty"` // Empty: HS256 for a secret, RS256 for RSA; for elliptic curves there is only one.
	Secret    string `json:"secret,omitempty"`
	PEM       string `json:"pem,omitempty"` // Public: it only verifies. Private: it signs, too.
}

// signer is a key that was read.
type signer struct {
	method jwt.SigningMethod
	verify any
	sign   any // nil: it cannot.
	parser *jwt.Parser
	claims *jwt.Validator
}

// signers reads keys. The errors name them, and show nothing of them.
func signers(keys map[string]Key) (map[string]*signer, error) {
	all := make(map[string]*signer, len(keys))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		s, err := newSigner(keys[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("keys.%s: %w", name, err))
		}
		all[name] = s
	}
	return all, errors.Join(errs...)
}

func newSigner(k Key) (*signer, error) {
	s := &signer{}
	var algorithms []string // The first one is the usual one.
	switch {
	case (k.Secret == "") == (k.PEM == ""):
		return nil, errors.New("want a secret or a pem, and not both")
	case strings.Contains(k.Secret, "-----BEGIN "):
		return nil, errors.New("the secret is a key in PEM, which belongs into pem")
	case k.Secret != "":
		if len(k.Secret) < minSecret {
			return nil, fmt.Errorf("the secret has %d bytes; it must have %d at least", len(k.Secret), minSecret)
		}
		s.verify, s.sign = []byte(k.Secret), []byte(k.Secret)
		algorithms = []string{"HS256", "HS384", "HS512"}
	default:
		public, private, err := parsePEM(k.PEM)
		if err != nil {
			return nil, err
		}
		if algorithms, err = algorithmsOf(public); err != nil {
			return nil, err
		}
		s.verify = public
		if private != nil {
			s.sign = private
		}
	}
	algorithm := algorithms[0]
	if k.Algorithm != "" {
		if algorithm = k.Algorithm; !slices.Contains(algorithms, algorithm) {
			return nil, fmt.Errorf("this key is for %s, not %.20q", strings.Join(algorithms, ", "), algorithm)
		}
	}
	s.method = jwt.GetSigningMethod(algorithm)
	s.parser = jwt.NewParser(jwt.WithValidMethods([]string{algorithm}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	s.claims = jwt.NewValidator(jwt.WithIssuedAt())
	return s, nil
}

// parsePEM reads a public key, or a private one with the public one that belongs to it.
func parsePEM(text string) (public crypto.PublicKey, private crypto.Signer, err error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, nil, errors.New("pem holds no PEM block, or a damaged one")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, nil, errors.New("pem holds more than one PEM block: want one key")
	}
	var key any
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, nil, fmt.Errorf("pem is a %.40q: want a PUBLIC KEY or a PRIVATE KEY", block.Type)
	}
	if err != nil {
		return nil, nil, errors.New("pem cannot be read as the " + block.Type + " it says it is") // The cause might show parts of it.
	}
	if s, ok := key.(crypto.Signer); ok {
		return s.Public(), s, nil
	}
	return key, nil, nil
}

// algorithmsOf says what a key may be used for (RFC 7518 §3.1, RFC 8037 §3.1).
func algorithmsOf(public crypto.PublicKey) ([]string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("pem is an RSA key of %d bits: want at least %d", bits, minRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch key.Curve.Params().Name {
		case "P-256":
			return []string{"ES256"}, nil
		case "P-384":
			return []string{"ES384"}, nil
		case "P-521":
			return []string{"ES512"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("pem is of a kind that signs no tokens: want RSA, Ed25519, or the curve P-256, P-384 or P-521")
}

func (p *Plugin) key(name string) (*signer, error) {
	if s := p.keys[name]; s != nil {
		return s, nil
	}
	return nil, failure("the plugin has no key called %.40q in its keys", name)
}

func jwtVerify(_ context.Context, p *Plugin, c *Call) error {
	token := c.Args[0].Text
	s, err := p.key(c.Args[1].Text)
	if err != nil {
		return err
	}
	if len(token) > maxToken {
		return failure("the token is longer than %d bytes", maxToken)
	}
	// Nothing is read of the claims before the signature was verified.
	verified, err := s.parser.ParseWithClaims(token, &unread{}, func(*jwt.Token) (any, error) { return s.verify, nil })
	if err != nil {
		return failure("the token is not good: %s", tokenProblem(err))
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(verified.Raw, ".")[1])
	if err != nil || !utf8.Valid(payload) || !object(string(payload)) {
		return failure("the token is not good: its claims are no JSON object")
	}
	var registered jwt.RegisteredClaims
	if err := json.Unmarshal(payload, &registered); err != nil {
		return failure("the token is not good: its claims are malformed")
	}
	if err := s.claims.Validate(registered); err != nil {
		return failure("the token is not good: %s", tokenProblem(err))
	}
	c.Results[0].Text = string(payload)
	return nil
}

// unread are claims that nothing is read of.
type unread struct{ jwt.Claims }

// UnmarshalJSON implements json.Unmarshaler.
func (*unread) UnmarshalJSON([]byte) error { return nil }

// tokenProblem is what is wrong with a token, in a few words.
func tokenProblem(err error) string {
	for problem, text := range map[error]string{
		jwt.ErrTokenExpired: "it has expired", jwt.ErrTokenNotValidYet: "it is not valid yet", jwt.ErrTokenUsedBeforeIssued: "it was issued in the future",
		jwt.ErrTokenSignatureInvalid: "its signature is not that of this key", jwt.ErrTokenMalformed: "it is malformed",
	} {
		if errors.Is(err, problem) {
			return text
		}
	}
	return "it cannot be verified"
}

func jwtSign(_ context.Context, p *Plugin, c *Call) error {
	claims := c.Args[0].Text
	s, err := p.key(c.Args[1].Text)
	switch {
	case err != nil:
		return err
	case s.sign == nil:
		return failure("the key %s is a public one, which only verifies", c.Args[1].Text)
	case len(claims) > maxClaims:
		return failure("the claims are longer than %d bytes", maxClaims)
	case !utf8.ValidString(claims) || !object(claims):
		return failure("the claims are not a JSON object")
	}
	signed, err := jwt.NewWithClaims(s.method, ready{text: claims}).SignedString(s.sign)
	if err != nil {
		return fmt.Errorf("sign a token: %w", err)
	}
	c.Results[0].Text = signed
	return nil
}

// ready are claims that are JSON already.
type ready struct {
	jwt.Claims
	text string
}

// MarshalJSON implements json.Marshaler.
func (r ready) MarshalJSON() ([]byte, error) { return []byte(r.text), nil }
