package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// minRSABits follows RFC 7518 §3.3.
const minRSABits = 2048

// hmacSecret refuses a key that is public: whoever knows it could sign.
func hmacSecret(secret string) ([]byte, error) {
	if strings.Contains(secret, "-----BEGIN ") {
		return nil, errors.New("hmac_secret is a PEM key: a public key belongs into public_key, and a private key to whoever signs")
	}
	return []byte(secret), nil
}

// publicKey reads a PEM key, or the file of one, and says which algorithms it verifies.
func publicKey(text string) (key any, algorithms []string, err error) {
	content := []byte(text)
	if !strings.Contains(text, "-----BEGIN ") {
		if content, err = os.ReadFile(text); err != nil {
			if failed, ok := errors.AsType[*fs.PathError](err); ok {
				err = failed.Err // The rest is the path, which may be a secret in the wrong place.
			}
			return nil, nil, fmt.Errorf("public_key is not PEM text, and is no file that can be read: %w", err)
		}
	}
	if key, err = parsePublicKey(content); err != nil {
		return nil, nil, err
	}
	algorithms, err = algorithmsOf(key)
	return key, algorithms, err
}

func parsePublicKey(content []byte) (any, error) {
	block, rest := pem.Decode(content)
	if block == nil {
		return nil, errors.New("public_key holds no PEM block, or a damaged one")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("public_key holds more than one PEM block: want one key")
	}
	var key any
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("public_key is a private key, which this server must not have: " +
			"make the public one with openssl pkey -in key.pem -pubout")
	default:
		return nil, fmt.Errorf("public_key is a %q: want a PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("public_key: %w", err)
	}
	return key, nil
}

// algorithmsOf says what a key may verify (RFC 7518 §3.1, RFC 8037 §3.1): an elliptic curve has exactly one algorithm.
func algorithmsOf(key any) ([]string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("public_key is an RSA key of %d bits: want at least %d", bits, minRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch name := key.Curve.Params().Name; name {
		case "P-256":
			return []string{"ES256"}, nil
		case "P-384":
			return []string{"ES384"}, nil
		case "P-521":
			return []string{"ES512"}, nil
		default:
			return nil, fmt.Errorf("public_key is on the curve %s: want P-256, P-384 or P-521", name)
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, fmt.Errorf("public_key is of a kind (%T) that signs no tokens: want RSA, ECDSA or Ed25519", key)
}
