package join

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/plugins"
)

// generation is what an agent tells its workers, until it gets another configuration.
type generation struct {
	workers int // Children that there are.

	// Hashes of descriptions.
	child     string
	elsewhere string

	settings map[string]string // Hash of the configuration without the plugins, by the description's.
	bytes    map[string][]byte // What can be fetched, by its hash.
}

// newGeneration writes the descriptions. It reads the key that the configuration names, because workers cannot.
func newGeneration(c *config.Config, bundles []plugins.Bundle) (*generation, error) {
	if len(bundles) > maxPlugins {
		return nil, fmt.Errorf("workers take %d plugins at most, not %d", maxPlugins, len(bundles))
	}
	g := &generation{workers: c.Agent.Workers, settings: map[string]string{}, bytes: map[string][]byte{}}
	d := description{Plugins: make([]described, len(bundles))}
	for i, b := range bundles {
		if len(b.Source) > maxBundle {
			return nil, fmt.Errorf("%s: %s: larger than 1GiB, which workers do not take", b.Key, b.File)
		}
		if _, err := json.Marshal(b.Config); err != nil {
			return nil, fmt.Errorf("%s: the values in config cannot be sent to workers: %w", b.Key, err)
		}
		d.Plugins[i], g.bytes[b.Hash] = describe(b), b.Source
	}

	own := *c
	if err := includeKey(&own.Auth.JWT); err != nil {
		return nil, err
	}
	var err error
	if g.child, err = g.add(d, &own); err != nil {
		return nil, err
	}
	if own.Public.Dir != "" {
		own.Public = config.Public{} // The directory is on this machine, and the built-in pages are not what the owner wants to be seen.
	}
	g.elsewhere, err = g.add(d, &own)
	return g, err
}

// add writes a description and returns its hash.
func (g *generation) add(d description, c *config.Config) (string, error) {
	var err error
	if d.Config, err = c.Export(); err != nil {
		return "", fmt.Errorf("the configuration cannot be sent to workers: %w", err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("the configuration cannot be sent to workers: %w", err)
	}
	if len(b) > maxDescription {
		return "", fmt.Errorf("the configuration cannot be sent to workers: it is larger than %s", config.Size(maxDescription))
	}
	hash := hashOf(b)
	g.bytes[hash] = b
	rest := *c
	rest.Plugins = config.Plugins{} // What it says is in the bundles.
	settings, err := rest.Export()
	if err != nil {
		return "", fmt.Errorf("the configuration cannot be sent to workers: %w", err)
	}
	g.settings[hash] = hashOf(settings)
	return hash, nil
}

// includeKey puts the public key in the place of its file's path.
func includeKey(c *config.JWT) error {
	if c.PublicKey == "" || strings.Contains(c.PublicKey, "-----BEGIN ") {
		return nil
	}
	b, err := os.ReadFile(c.PublicKey)
	if err != nil {
		return fmt.Errorf("auth.jwt.public_key: %w", err)
	}
	c.PublicKey = string(b)
	return nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
