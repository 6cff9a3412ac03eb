package agent

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/zenconn/server/core/api"
)

// listen opens the listeners, but for the one that was taken from workers.
func (a *Agent) listen(p *parts) error {
	var err error
	if p.clients == nil {
		if p.clients, err = net.Listen("tcp", a.config.Client.Addr); err != nil {
			return fmt.Errorf("client listener (client.addr): %w", err)
		}
		p.onClose(func() error { return closeListener(p.clients) })
	}
	if addr := a.config.API.Addr; addr != "" && addr != a.config.Client.Addr {
		if p.operator, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("API listener (api.addr): %w", err)
		}
		p.onClose(func() error { return closeListener(p.operator) })
	}
	return nil
}

// closeListener closes a listener that its server may have closed before.
func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// sharing serves the API beside the pages on one listener, when both have the same address. The API is there before the first
// request, though not yet now.
func sharing(p *parts, pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range api.Paths {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { p.api.ServeHTTP(w, r) })
	}
	if pages != nil {
		mux.Handle("/", pages)
	}
	return mux
}
