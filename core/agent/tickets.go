package agent

import (
	"fmt"
	"path/filepath"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/keyfile"
)

// ticketFile holds the secret of TLS session tickets. It outlives restarts, so that the workers of an agent that was started again have the
// same one as those that were left running.
const ticketFile = "tls.secret"

// withTicketSecret returns a configuration that has what clients' TLS sessions are resumed with, for this process and its workers.
func withTicketSecret(c *config.Config) (*config.Config, error) {
	if c.Client.TLS.Cert == "" || c.Client.TLS.TicketSecret != "" {
		return c, nil
	}
	secret, err := keyfile.Secret(filepath.Join(c.Data, ticketFile))
	if err != nil {
		return nil, fmt.Errorf("secret of TLS session tickets: %w", err)
	}
	with := *c
	with.Client.TLS.TicketSecret = secret
	return &with, nil
}
