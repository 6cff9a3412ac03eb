package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// shortest is the least that a secret in a file has, in bytes. Those made here have 26, of 130 random bits.
const shortest = 16

// Secret reads an installation's secret from a file that only its owner can read, or makes both.
func Secret(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // Our own, in the data directory.
	if err == nil {
		if secret := strings.TrimSpace(string(b)); len(secret) >= shortest {
			return secret, nil
		}
		return "", fmt.Errorf("%s holds no secret: delete it to get a new one", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	secret := rand.Text()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // See above.
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	return secret, errors.Join(err, f.Sync(), f.Close())
}
