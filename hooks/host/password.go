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

func (h phc) String() string {
	base := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, base.EncodeToString(h.salt),
		base.EncodeToString(h.sum))
}

func (h phc) of(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum))) //nolint:gosec // 64 at most.
}

// parsePHC reads a hash, and refuses one that would take too long or too much memory.
func parsePHC(text string) (h phc, err error) {
	parts := strings.Split(text, "$")
	if len(text) > maxHashText || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return h, failure("this is no hash of argon2id, version 19: $argon2id$v=19$m=…,t=…,p=…$…$…")
	}
	var threads uint32
	settings := strings.Split(parts[3], ",")
	if len(settings) != 3 || !number32(settings[0], "m=", &h.memory) || !number32(settings[1], "t=", &h.time) || !number32(settings[2], "p=", &threads) {
		return h, failure("the hash has settings other than m=…,t=…,p=…")
	}
	if threads < 1 || threads > maxHashThreads || h.time < 1 || h.memory < 8*threads || h.memory > maxHashMemory ||
		uint64(h.time)*uint64(h.memory) > maxHashMemory*maxHashWork || h.time > 1000 {
		return h, failure("the hash asks for m=%d, t=%d, p=%d; m may be %d at most, and m times t %d", h.memory, h.time, threads, maxHashMemory,
			maxHashMemory*maxHashWork)
	}
	h.threads = uint8(threads)
	base := base64.RawStdEncoding.Strict()
	h.salt, err = base.DecodeString(parts[4])
	if err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, failure("the salt of the hash is not 8 to 64 bytes in base64")
	}
	h.sum, err = base.DecodeString(parts[5])
	if err != nil || len(h.sum) < 12 || len(h.sum) > 64 {
		return h, failure("the hash is not 12 to 64 bytes in base64")
	}
	return h, nil
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
		case job := <-s.hashing:
			job.sum <- job.phc.of(job.password)
		}
	}
}

func (p *Plugin) hashed(ctx context.Context, h phc, password string) ([]byte, error) {
	if len(password) > maxPassword {
		return nil, failure("the password is longer than %d bytes", maxPassword)
	}
	if !p.services.running.Load() {
		return nil, errNotRunning
	}
	job := hashing{phc: h, password: password, sum: make(chan []byte, 1)}
	select {
	case p.services.hashing <- job:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case sum := <-job.sum:
		return sum, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func passwordHash(ctx context.Context, p *Plugin, c *Call) error {
	h := phc{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, saltSize), sum: make([]byte, hashSize)}
	rand.Read(h.salt) //nolint:errcheck // It never returns an error.
	sum, err := p.hashed(ctx, h, c.Args[0].Text)
	if err != nil {
		return err
	}
	h.sum = sum
	c.Results[0].Text = h.String()
	return nil
}

func passwordVerify(ctx context.Context, p *Plugin, c *Call) error {
	h, err := parsePHC(c.Args[1].Text)
	if err != nil {
		return err
	}
	sum, err := p.hashed(ctx, h, c.Args[0].Text)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, h.sum) == 1 {
		c.Results[0].Int = 1
	}
	return nil
}
