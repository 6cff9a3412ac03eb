package agent

import (
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
)

// announce says in the log where to look.
func (a *Agent) announce(p *parts) {
	c := a.config
	base := clientURL(p.clients.Addr())
	if c.Client.TLS.Cert != "" {
		base = "https" + base[len("http"):]
	}
	if c.Demo {
		a.log.Warn("demo mode: everybody on this machine may connect under any name; nobody else can")
	}
	plugins := p.node.Plugins()
	if dir := c.Plugins.Dir; dir != "" {
		a.log.Info("plugins are read from", "dir", absolute(dir), "loaded", len(plugins))
	}
	for _, plugin := range plugins {
		a.log.Info("plugin", "name", plugin.Name, "version", plugin.Hash[:12], "hooks", plugin.Hooks)
	}
	data := absolute(c.Data)
	admits := func(p hooks.PluginInfo) bool { return slices.Contains(p.Hooks, hooks.OnConnect) }
	if c.Auth.Type == "hook" && !slices.ContainsFunc(plugins, admits) {
		a.log.Warn("nobody can connect: no plugin decides who may; load one with on_connect, or set auth.type to jwt or none")
	}
	for _, path := range c.Client.WebSocket.Paths {
		a.log.Info("clients connect to", "url", "ws"+base[len("http"):]+path)
	}
	if c.Public.Enabled {
		a.log.Info("pages are at", "url", base+"/", "dir", dirOrBuiltIn(c.Public.Dir))
	}
	if c.API.Addr != "" {
		operators := base
		if p.operator != nil {
			operators = clientURL(p.operator.Addr())
		}
		a.log.Info("metrics and health are at", "url", operators+"/metrics")
		a.log.Info("the server API is at", "url", operators+"/api/", "open_to", openTo(c.API))
	}
	a.log.Info("data is kept in", "dir", data)
	a.log.Info("the bus is ready", "nats", a.describeBus(p), "addr", p.bus.Addr())
	if p.crew != nil {
		a.log.Info("workers keep the clients", "workers", c.Agent.Workers, "found_running", len(p.survivors))
	}
	a.log.Info("audit is kept in", "store", store.Describe(c.Audit, data), "ask", `zenconn audit query "SELECT * FROM audit_messages"`)
	a.log.Info("ready", "version", a.Version, "node", a.name)
}

// describeBus says where the bus is.
func (a *Agent) describeBus(p *parts) (where string) {
	if !p.bus.External() {
		return "embedded"
	}
	return strings.ReplaceAll(a.config.Bus.URL, ",", " ")
}

// absolute names a directory so that it can be found from anywhere.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// openTo says who may use the server API.
func openTo(c config.API) string {
	switch {
	case c.Key != "":
		return "programs with the key"
	case c.Insecure:
		return "programs on this machine"
	}
	return "nobody: set api.key"
}

func dirOrBuiltIn(dir string) string {
	if dir == "" {
		return "built in"
	}
	return dir
}

// clientURL names a listener as a browser on this machine would.
func clientURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
