package host

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// How passwords are hashed: OWASP's first recommendation for argon2id, which is 19 MiB and 20 to 40 ms. Services.Run says how
// many are hashed at the same time.
const (
	hashMemory  = 19 << 10 // KiB.
	hashTime    = 2
	hashThreads = 1
	saltSize    = 16
	hashSize    = 32

	maxPassword = 1024 // Bytes.
)

// The most that a hash made elsewhere may ask for.
const (
	maxHashMemory  = 64 << 10 // KiB,
	maxHashWork    = 4        // times that often over it,
	maxHashThreads = 4
	maxHashText    = 512
)

// phc is a hash in the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

func (p phc) String() string {
	base := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, base.EncodeToString(p.salt),
		base.EncodeToString(p.sum))
}

func (p phc) of(password string) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.sum))) //nolint:gosec // 64 at most.
}

// parsePHC reads a hash, and refuses one that would take too long or too much memory.
func parsePHC(text string) (p phc, err error) {
	parts := strings.Split(text, "$")
	if len(text) > maxHashText || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return p, failure("this is no hash of argon2id, version 19: $argon2id$v=19$m=…,t=…,p=…$…$…")
	}
	var threads uint32
	settings := strings.Split(parts[3], ",")
	if len(settings) != 3 || !number32(settings[0], "m=", &p.memory) || !number32(settings[1], "t=", &p.time) || !number32(settings[2], "p=", &threads) {
		return p, failure("the hash has settings other than m=…,t=…,p=…")
	}
	if threads < 1 || threads > maxHashThreads || p.time < 1 || p.memory < 8*threads || p.memory > maxHashMemory ||
		uint64(p.time)*uint64(p.memory) > maxHashMemory*maxHashWork || p.time > 1000 {
		return p, failure("the hash asks for m=%d, t=%d, p=%d; m may be %d at most, and m times t %d", p.memory, p.time, threads, maxHashMemory,
			maxHashMemory*maxHashWork)
	}
	p.threads = uint8(threads)
	base := base64.RawStdEncoding.Strict()
	p.salt, err = base.DecodeString(parts[4])
	if err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return p, failure("the salt of the hash is not 8 to 64 bytes in base64")
	}
	p.sum, err = base.DecodeString(parts[5])
	if err != nil || len(p.sum) < 12 || len(p.sum) > 64 {
		return p, failure("the hash is not 12 to 64 bytes in base64")
	}
	return p, nil
}

func number32(text, prefix string, to *uint32) bool {
	digits, ok := strings.CutPrefix(text, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	*to = uint32(n) //nolint:gosec // ParseUint was told.
	return ok && err == nil
}

// hashing is a password on its way to a worker. Once begun it cannot be interrupted; who waits for it may leave.
type hashing struct {
	phc      phc
	password string
	sum      chan []byte // Holds one.
}

// hash works until ctx ends.
func (s *Services) hash(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case h := <-s.hashing:
			h.sum <- h.phc.of(h.password)
		}
	}
}

func (a *Plugin) hashed(ctx context.Context, p phc, password string) ([]byte, error) {
	if len(password) > maxPassword {
		return nil, failure("the password is longer than %d bytes", maxPassword)
	}
	if !a.services.running.Load() {
		return nil, errNotRunning
	}
	h := hashing{phc: p, password: password, sum: make(chan []byte, 1)}
	select {
	case a.services.hashing <- h:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case sum := <-h.sum:
		return sum, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func passwordHash(ctx context.Context, a *Plugin, c *Call) error {
	p := phc{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, saltSize), sum: make([]byte, hashSize)}
	rand.Read(p.salt) //nolint:errcheck // It never returns an error.
	sum, err := a.hashed(ctx, p, c.Args[0].Text)
	if err != nil {
		return err
	}
	p.sum = sum
	c.Results[0].Text = p.String()
	return nil
}

func passwordVerify(ctx context.Context, a *Plugin, c *Call) error {
	p, err := parsePHC(c.Args[1].Text)
	if err != nil {
		return err
	}
	sum, err := a.hashed(ctx, p, c.Args[0].Text)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, p.sum) == 1 {
		c.Results[0].Int = 1
	}
	return nil
}
