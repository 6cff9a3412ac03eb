package auth_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
)

const secret = "0123456789abcdef0123456789abcdef"

var methods = map[string]jwt.SigningMethod{
	"HS256": jwt.SigningMethodHS256, "HS384": jwt.SigningMethodHS384, "HS512": jwt.SigningMethodHS512,
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": jwt.SigningMethodPS256, "PS384": jwt.SigningMethodPS384, "PS512": jwt.SigningMethodPS512,
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	"EdDSA": jwt.SigningMethodEdDSA,
}

func newJWT(t *testing.T, cfg config.JWT) *auth.JWT {
	t.Helper()
	j, err := auth.NewJWT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// sign makes a token of any JSON.
func sign(t *testing.T, method string, key any, claims string) string {
	t.Helper()
	return signHeader(t, method, key, `{"alg":"`+method+`","typ":"JWT"}`, claims)
}

func signHeader(t *testing.T, method string, key any, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := methods[method].Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hs256(t *testing.T, claims string) string {
	t.Helper()
	return sign(t, "HS256", []byte(secret), claims)
}

// marshal writes claims as JSON.
func marshal(t *testing.T, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// in returns the Unix time some seconds from now.
func in(seconds int64) int64 { return time.Now().Unix() + seconds }

// Every key accepts its own algorithms and none besides.
func TestAlgorithms(t *testing.T) {
	rsa1, p256, p384, p521, ed := rsaKey(t, 2048), ecdsaKey(t, elliptic.P256()), ecdsaKey(t, elliptic.P384()), ecdsaKey(t, elliptic.P521()),
		ed25519Key(t)
	signers := map[string]any{
		"HS256": []byte(secret), "HS384": []byte(secret), "HS512": []byte(secret),
		"RS256": rsa1, "RS384": rsa1, "RS512": rsa1, "PS256": rsa1, "PS384": rsa1, "PS512": rsa1,
		"ES256": p256, "ES384": p384, "ES512": p521, "EdDSA": ed,
	}
	for name, test := range map[string]struct {
		cfg    config.JWT
		accept string
	}{
		"HMAC":           {config.JWT{HMACSecret: secret}, "HS256 HS384 HS512"},
		"RSA":            {config.JWT{PublicKey: publicPEM(t, rsa1)}, "RS256 RS384 RS512 PS256 PS384 PS512"},
		"P-256":          {config.JWT{PublicKey: publicPEM(t, p256)}, "ES256"},
		"P-384":          {config.JWT{PublicKey: publicPEM(t, p384)}, "ES384"},
		"P-521":          {config.JWT{PublicKey: publicPEM(t, p521)}, "ES512"},
		"Ed25519":        {config.JWT{PublicKey: publicPEM(t, ed)}, "EdDSA"},
		"HMAC and P-256": {config.JWT{HMACSecret: secret, PublicKey: publicPEM(t, p256)}, "HS256 HS384 HS512 ES256"},
		"HMAC and RSA": {
			config.JWT{HMACSecret: secret, PublicKey: publicPEM(t, rsa1)},
			"HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJWT(t, test.cfg)
			for method, key := range signers {
				token := sign(t, method, key, `{"sub":"alice","channel":""}`)
				got, err := j.Connect(token)
				if accept := strings.Contains(test.accept, method); accept && (err != nil || got.User != "alice") {
					t.Errorf("%s: %+v, %v", method, got, err)
				} else if !accept && !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("%s was accepted: %+v, %v", method, got, err)
				}
			}
		})
	}
}

// Whoever knows the public key, as everybody may, cannot sign with it, nor with the secret that is not configured.
func TestPublicKeyAsSecret(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"RSA": rsaKey(t, 2048), "ECDSA": ecdsaKey(t, elliptic.P256()), "Ed25519": ed25519Key(t),
	} {
		text := publicPEM(t, key)
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		forgeries := [][]byte{[]byte(text), []byte(strings.TrimSpace(text)), der, {}}
		if raw, ok := key.Public().(ed25519.PublicKey); ok {
			forgeries = append(forgeries, raw)
		}
		for with, cfg := range map[string]config.JWT{"alone": {PublicKey: text}, "beside a secret": {PublicKey: text, HMACSecret: secret}} {
			j := newJWT(t, cfg)
			for i, forged := range forgeries {
				for _, method := range []string{"HS256", "HS384", "HS512"} {
					_, err := j.Connect(sign(t, method, forged, `{"sub":"admin"}`))
					if !errors.Is(err, auth.ErrInvalidToken) {
						t.Errorf("%s %s: forgery %d with %s: %v", name, with, i, method, err)
					}
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret, Audience: "game", Issuer: "shop", Leeway: 10 * time.Minute, RequireExpiry: true})
	// A token that is accepted, and what each case changes in it.
	good := func(changes ...any) string {
		claims := map[string]any{"sub": "alice", "exp": in(3600), "iat": in(0), "nbf": in(0), "aud": "game", "iss": "shop"}
		for i := 0; i < len(changes); i += 2 {
			name, _ := changes[i].(string)
			if claims[name] = changes[i+1]; claims[name] == nil {
				delete(claims, name)
			}
		}
		return marshal(t, claims)
	}
	unsigned := func(header, claims string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "."
	}
	parts := strings.Split(hs256(t, good()), ".")
	admin := base64.RawURLEncoding.EncodeToString([]byte(good("sub", "admin")))

	for name, token := range map[string]string{
		"good":                      hs256(t, good()),
		"good, audience in a list":  hs256(t, good("aud", []string{"other", "game"})),
		"good, clock ahead":         hs256(t, good("iat", in(500), "nbf", in(500))),
		"good, just expired":        hs256(t, good("exp", in(-5))),
		"good, fractions":           hs256(t, good("exp", float64(in(3600))+0.5)),
		"good, without iat and nbf": hs256(t, good("iat", nil, "nbf", nil)),
		"good, anonymous":           hs256(t, good("sub", nil)),
		"good, more claims":         hs256(t, good("jti", "1", "meta", map[string]any{"a": 1}, "name", "Alice")),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := j.Connect(token); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"empty":                     {"", jwt.ErrTokenMalformed},
		"no token":                  {"nonsense", jwt.ErrTokenMalformed},
		"two parts":                 {parts[0] + "." + parts[1], jwt.ErrTokenMalformed},
		"four parts":                {strings.Join(parts, ".") + ".x", jwt.ErrTokenMalformed},
		"only dots":                 {"..", jwt.ErrTokenMalformed},
		"no base64":                 {"{}." + parts[1] + "." + parts[2], jwt.ErrTokenMalformed},
		"padded base64":             {parts[0] + "." + parts[1] + "." + parts[2] + "=", jwt.ErrTokenMalformed},
		"loose base64":              {loose(strings.Join(parts, ".")), jwt.ErrTokenMalformed},
		"white space":               {" " + strings.Join(parts, "."), jwt.ErrTokenMalformed},
		"none":                      {unsigned(`{"alg":"none"}`, good()), jwt.ErrTokenSignatureInvalid},
		"none in other case":        {unsigned(`{"alg":"nOnE"}`, good()), jwt.ErrTokenUnverifiable},
		"no algorithm":              {unsigned(`{}`, good()), jwt.ErrTokenUnverifiable},
		"algorithm is no text":      {unsigned(`{"alg":["HS256"]}`, good()), jwt.ErrTokenUnverifiable},
		"unknown algorithm":         {unsigned(`{"alg":"HS1"}`, good()), jwt.ErrTokenUnverifiable},
		"header is no object":       {unsigned(`"HS256"`, good()), jwt.ErrTokenMalformed},
		"no signature":              {parts[0] + "." + parts[1] + ".", jwt.ErrTokenSignatureInvalid},
		"other claims":              {parts[0] + "." + admin + "." + parts[2], jwt.ErrTokenSignatureInvalid},
		"other key":                 {sign(t, "HS256", []byte("another secret of the right size"), good()), jwt.ErrTokenSignatureInvalid},
		"empty key":                 {sign(t, "HS256", []byte{}, good()), jwt.ErrTokenSignatureInvalid},
		"signed as another":         {signHeader(t, "HS256", []byte(secret), `{"alg":"HS512"}`, good()), jwt.ErrTokenSignatureInvalid},
		"critical extension":        {signHeader(t, "HS256", []byte(secret), `{"alg":"HS256","crit":["b64"],"b64":false}`, good()), jwt.ErrTokenUnverifiable},
		"wrong audience":            {hs256(t, good("aud", "other")), jwt.ErrTokenInvalidAudience},
		"wrong audiences":           {hs256(t, good("aud", []string{"other", "Game"})), jwt.ErrTokenInvalidAudience},
		"no audience":               {hs256(t, good("aud", nil)), jwt.ErrTokenRequiredClaimMissing},
		"empty audience":            {hs256(t, good("aud", []string{})), jwt.ErrTokenRequiredClaimMissing},
		"wrong issuer":              {hs256(t, good("iss", "Shop")), jwt.ErrTokenInvalidIssuer},
		"no issuer":                 {hs256(t, good("iss", nil)), jwt.ErrTokenRequiredClaimMissing},
		"not valid yet":             {hs256(t, good("nbf", in(3000))), jwt.ErrTokenNotValidYet},
		"issued in the future":      {hs256(t, good("iat", in(3000))), jwt.ErrTokenUsedBeforeIssued},
		"no expiry":                 {hs256(t, good("exp", nil)), jwt.ErrTokenRequiredClaimMissing},
		"expired":                   {hs256(t, good("exp", in(-3000))), core.ErrTokenExpired},
		"expired for ever":          {hs256(t, good("exp", -1)), core.ErrTokenExpired},
		"expired, also elsewhere":   {hs256(t, good("exp", in(-3000), "aud", "other")), jwt.ErrTokenInvalidAudience},
		"expired, also forged":      {sign(t, "HS256", []byte("another secret of the right size"), good("exp", in(-3000))), jwt.ErrTokenSignatureInvalid},
		"expired, also not yet":     {hs256(t, good("exp", in(-3000), "nbf", in(3000))), jwt.ErrTokenNotValidYet},
		"expired, for a channel":    {hs256(t, good("exp", in(-3000), "channel", "a")), auth.ErrInvalidToken},
		"subscription token":        {hs256(t, good("channel", "chat:a")), auth.ErrInvalidToken},
		"claims are null":           {hs256(t, `null`), auth.ErrInvalidToken},
		"claims are a list":         {hs256(t, `[]`), auth.ErrInvalidToken},
		"claims are no JSON":        {hs256(t, `{"sub":`), auth.ErrInvalidToken},
		"claims twice":              {hs256(t, good()+good()), auth.ErrInvalidToken},
		"user is a number":          {hs256(t, good("sub", 7)), auth.ErrInvalidToken},
		"expiry is a text":          {hs256(t, good("exp", "tomorrow")), auth.ErrInvalidToken},
		"expire_at is a text":       {hs256(t, good("expire_at", "tomorrow")), auth.ErrInvalidToken},
		"channels is a text":        {hs256(t, good("channels", "a")), auth.ErrInvalidToken},
		"b64info is no base64":      {hs256(t, good("b64info", "{}")), auth.ErrInvalidToken},
		"b64info is no JSON":        {hs256(t, good("b64info", "aGVsbG8=")), auth.ErrInvalidToken},
		"info is no UTF-8":          {hs256(t, strings.Replace(good("info", "@"), "@", "\xff", 1)), auth.ErrInvalidToken},
		"data of a sub is no UTF-8": {hs256(t, strings.Replace(good("subs", map[string]any{"a": map[string]any{"data": "@"}}), "@", "\xff", 1)), auth.ErrInvalidToken},
		"unknown permission":        {hs256(t, good("caps", []any{map[string]any{"channels": []string{"a"}, "allow": []string{"root"}}})), auth.ErrInvalidToken},
		"unknown match":             {hs256(t, good("caps", []any{map[string]any{"match": "glob"}})), auth.ErrInvalidToken},
		"bad pattern":               {hs256(t, good("caps", []any{map[string]any{"channels": []string{"("}, "match": "regex"}})), auth.ErrInvalidToken},
		"too long":                  {hs256(t, good("info", strings.Repeat("x", 13<<10))), auth.ErrInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := j.Connect(test.token)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %+v, %v; want %v", got, err, test.want)
			}
			expired := errors.Is(test.want, core.ErrTokenExpired)
			if errors.Is(err, core.ErrTokenExpired) != expired || errors.Is(err, auth.ErrInvalidToken) == expired {
				t.Errorf("a bad token must not pass for an expired one, nor the other way round: %v", err)
			}
			if got.User != "" || got.Subs != nil || got.Grants != nil {
				t.Errorf("refused and yet %+v", got)
			}
			for _, part := range append(strings.Split(test.token, "."), secret, test.token) {
				if len(part) > 2 && strings.Contains(err.Error(), part) {
					t.Errorf("the error shows a part of the token or the key: %v", err)
				}
			}
		})
	}
}

// loose returns another text with the same signature for who decodes sloppily: the last character of 43 holds two bits too many.
func loose(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])+1])
}

func TestLengthLimit(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret})
	longest := ""
	for n := 12100; len(longest) <= 16<<10; n++ {
		token := hs256(t, `{"sub":"`+strings.Repeat("x", n)+`"}`)
		if _, err := j.Connect(token); (err == nil) != (len(token) <= 16<<10) {
			t.Fatalf("%d bytes: %v", len(token), err)
		}
		longest = token
	}
}

// The clock of a bubble stands still.
func TestExpiryOptional(t *testing.T) { synctest.Test(t, expiryOptional) }

func expiryOptional(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret, Leeway: 10 * time.Second})
	far := in(1 << 40)
	for name, test := range map[string]struct {
		claims   map[string]any
		from, to int64 // Of ExpireAt.
	}{
		"no expiry":                    {map[string]any{}, 0, 0},
		"expiry":                       {map[string]any{"exp": in(60)}, in(60), in(60)},
		"expiry within the leeway":     {map[string]any{"exp": in(-5)}, in(1), in(3)},
		"expire_at":                    {map[string]any{"exp": in(60), "expire_at": in(600)}, in(600), in(600)},
		"expire_at alone":              {map[string]any{"expire_at": in(600)}, in(600), in(600)},
		"expire_at before the token's": {map[string]any{"exp": in(60), "expire_at": in(5)}, in(5), in(5)},
		"expire_at never":              {map[string]any{"exp": in(60), "expire_at": 0}, 0, 0},
		"expire_at negative":           {map[string]any{"exp": in(60), "expire_at": -1}, 0, 0},
		"expire_at null":               {map[string]any{"exp": in(60), "expire_at": nil}, in(60), in(60)},
		"expiry in the far future":     {map[string]any{"exp": far}, in(1 << 30), in(1 << 31)},
		"expire_at in the far future":  {map[string]any{"expire_at": far}, in(1 << 30), in(1 << 31)},
	} {
		got, err := j.Connect(hs256(t, marshal(t, test.claims)))
		if err != nil || got.ExpireAt < test.from || got.ExpireAt > test.to {
			t.Errorf("%s: connect: got %d, %v, want %d to %d", name, got.ExpireAt, err, test.from, test.to)
		}
		test.claims["channel"] = "a"
		opts, err := j.Subscribe(hs256(t, marshal(t, test.claims)), "", "1", "a")
		if err != nil || opts.ExpireAt < test.from || opts.ExpireAt > test.to {
			t.Errorf("%s: subscribe: got %d, %v, want %d to %d", name, opts.ExpireAt, err, test.from, test.to)
		}
	}
}
