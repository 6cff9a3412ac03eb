package node

import (
	"fmt"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core/web"
)

// openWeb opens the pages and the access log.
func (n *Node) openWeb() (pages http.Handler, wrap func(http.Handler) http.Handler, err error) {
	c := n.options.Config
	if c.Public.Enabled {
		site, err := web.Open(c.Public)
		if err != nil {
			return nil, nil, err
		}
		n.onClose(site.Close)
		pages = site
	}
	if n.options.Pages != nil {
		pages = n.options.Pages(pages)
	}
	out := n.options.Stdout
	if path := c.AccessLog.Path; path != "" && c.AccessLog.Format != "off" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // The operator names the file.
		if err != nil {
			return nil, nil, fmt.Errorf("access log: %w", err)
		}
		n.onClose(file.Close)
		out = file
	}
	access, err := web.NewAccessLog(c.AccessLog.Format, out)
	if err != nil {
		return nil, nil, err
	}
	n.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "zenconn", Name: "access_log_failures_total", Help: "Lines of the access log that could not be written.",
	}, func() float64 { return float64(access.Failures()) }))
	return pages, access.Handler, nil
}
