package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a server may take to answer, unless the flag says otherwise.
const healthTimeout = 3 * time.Second

// newHealthCommand asks a running server on this machine whether it lives: for the health checks of containers, which have no
// other program to ask with.
func newHealthCommand(env *environment) *cobra.Command {
	ready, timeout := false, healthTimeout
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask the running server whether it is healthy",
		Long: `Ask the server with the same configuration, through its API listener (api.addr), whether it lives: exit code 0 when it does,
1 when it does not. With --ready, whether it is ready to serve clients.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			if loaded.Config.API.Addr == "" {
				return usageError("the server has no API listener to ask: set api.addr")
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			if timeout <= 0 {
				return usageError("--timeout: want more than 0")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return askHealth(ctx, env.stdout, healthURL(loaded.Config.API.Addr)+path)
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", timeout, "how long the server may take to answer")
	command.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready to serve clients")
	return command
}

// healthURL is where to ask a server that listens on addr: on every address of this machine means on this machine.
func healthURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "http://" + addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func askHealth(ctx context.Context, out io.Writer, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // No proxy: the server is on this machine.
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // Only read.
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("no whole answer from %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, answer.Status, strings.TrimSpace(string(body)))
	}
	_, err = out.Write(body)
	return err
}
