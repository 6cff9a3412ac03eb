package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
)

func publicPEM(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecdsaKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewJWTRefuses(t *testing.T) {
	key := rsaKey(t, 2048)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := publicPEM(t, key)
	for name, test := range map[string]struct {
		cfg  config.JWT
		want string
	}{
		"no key":                         {config.JWT{}, "set hmac_secret or public_key"},
		"public key as secret":           {config.JWT{HMACSecret: good}, "hmac_secret is a PEM key"},
		"missing file":                   {config.JWT{PublicKey: filepath.Join(t.TempDir(), "geheim")}, "no such file"},
		"directory":                      {config.JWT{PublicKey: t.TempDir()}, "no file that can be read"},
		"damaged PEM":                    {config.JWT{PublicKey: "-----BEGIN PUBLIC KEY-----\ngeheim"}, "no PEM block, or a damaged one"},
		"damaged key":                    {config.JWT{PublicKey: block("PUBLIC KEY", []byte("geheim"))}, "public_key: "},
		"two keys":                       {config.JWT{PublicKey: good + good}, "more than one PEM block"},
		"private key":                    {config.JWT{PublicKey: block("PRIVATE KEY", private)}, "is a private key"},
		"RSA private key":                {config.JWT{PublicKey: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))}, "is a private key"},
		"certificate":                    {config.JWT{PublicKey: block("CERTIFICATE", []byte("geheim"))}, `is a "CERTIFICATE"`},
		"short RSA key":                  {config.JWT{PublicKey: block("PUBLIC KEY", shortRSA)}, "RSA key of 1024 bits: want at least 2048"},
		"P-224":                          {config.JWT{PublicKey: publicPEM(t, ecdsaKey(t, elliptic.P224()))}, "on the curve P-224"},
		"a key that signs nothing":       {config.JWT{PublicKey: block("PUBLIC KEY", x25519)}, "signs no tokens"},
		"a bad key beside a good secret": {config.JWT{HMACSecret: secret, PublicKey: "-----BEGIN x"}, "no PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.NewJWT(test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			for _, content := range []string{"geheim", secret, strings.Split(good, "\n")[1]} {
				if strings.Contains(err.Error(), content) {
					t.Errorf("the error shows a key: %v", err)
				}
			}
		})
	}
}

// Keys this Go no longer makes, or for which it has no signature: RSA of 1024 bits (openssl genrsa 1024), X25519 (all zero but one).
var shortRSA, x25519 = must(base64.StdEncoding.DecodeString("MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDnGSGdVHleO0vwWWU/CT4bphP/ur8M+17hUjspumro3DMfmhZ+K4H589DmpNkL5v/w/5RLMMWCyHdgqwuoKnb3RwAQr0Lc1D5JXnmnvOz/wbhI+hXo5HAY3ZjwmCBAzT970ZlO10CFeGI7dU7e/Fc5ygMt+IdZF6VzaKJf1Sl80QIDAQAB")),
	must(base64.StdEncoding.DecodeString("MCowBQYDK2VuAyEACQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestPublicKeyForms(t *testing.T) {
	key := rsaKey(t, 2048)
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, []byte("A comment.\n"+publicPEM(t, key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := sign(t, "RS256", key, `{"sub":"alice"}`)
	for name, text := range map[string]string{
		"PEM text":  publicPEM(t, key),
		"file":      file,
		"PKCS #1":   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)})),
		"CRLF":      strings.ReplaceAll(publicPEM(t, key), "\n", "\r\n"),
		"no ending": strings.TrimSpace(publicPEM(t, key)),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := newJWT(t, config.JWT{PublicKey: text}).Connect(token); err != nil || got.User != "alice" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
