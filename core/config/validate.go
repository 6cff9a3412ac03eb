package config

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validator checks what a layer alone cannot show: ranges, and values that exclude each other.
type validator struct {
	loaded   *Loaded
	refused  map[string]bool
	problems []Problem
}

// validate returns what is wrong with a merged configuration, except what follows from keys whose value was refused before.
func validate(loaded *Loaded, refused map[string]bool) []Problem {
	v := &validator{loaded: loaded, refused: refused}
	c := &loaded.Config
	v.listeners(c)
	v.api(&c.API, c.Client.Addr, c.Demo)
	v.client(&c.Client)
	v.limits(&c.Client.Limits)
	v.auth(&c.Auth)
	for _, name := range sortedNames(c.Namespaces) {
		v.namespace("namespaces."+name, c.Namespaces[name])
	}
	v.plugins(&c.Plugins)
	v.agent(c)
	v.bus(&c.Bus)
	v.audit(&c.Audit)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.oneOf("access_log.format", c.AccessLog.Format, "off", "combined", "common", "json")
	v.positive("shutdown.timeout", c.Shutdown.Timeout)
	return v.problems
}

// require reports a problem unless ok. The keys are those the condition depends on; the problem stands where the strongest layer
// gave one of them.
func (v *validator) require(ok bool, text string, keys ...string) {
	if ok || slices.ContainsFunc(keys, func(key string) bool { return v.refused[key] }) {
		return
	}
	key := slices.MaxFunc(keys, func(a, b string) int { return cmp.Compare(v.loaded.Origin(a).Layer, v.loaded.Origin(b).Layer) })
	v.problems = append(v.problems, Problem{Origin: v.loaded.Origin(key), Key: key, Text: text})
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	v.require(slices.Contains(allowed, value), fmt.Sprintf("want one of %s, not %q", strings.Join(allowed, ", "), value), key)
}

func (v *validator) positive(key string, value time.Duration) {
	v.require(value > 0, fmt.Sprintf("want more than 0, not %s", durationText(value)), key)
}

func (v *validator) atLeast(key string, value, least int) {
	v.require(value >= least, fmt.Sprintf("want at least %d, not %d", least, value), key)
}

func (v *validator) listeners(c *Config) {
	v.require(c.Data != "", "want a directory", "data")
	v.require(validAddr(c.Client.Addr), fmt.Sprintf("want host:port or :port, not %q", c.Client.Addr), "client.addr")
	v.require(c.API.Addr == "" || validAddr(c.API.Addr), fmt.Sprintf("want host:port, :port or nothing, not %q", c.API.Addr), "api.addr")
	v.require(c.Client.TLS.Cert == "" || c.API.Addr != c.Client.Addr, "with client.tls.cert the API needs a listener of its own, which is not encrypted: want another address than client.addr, or none",
		"api.addr", "client.addr", "client.tls.cert")
	if c.Demo {
		const only = "the demo mode lets everybody in, so it listens on this machine only: want a loopback address such as 127.0.0.1:8000, not "
		v.require(loopback(c.Client.Addr), only+c.Client.Addr, "client.addr", "demo")
		v.require(c.API.Addr == "" || loopback(c.API.Addr), only+c.API.Addr, "api.addr", "demo")
	}
}

func (v *validator) api(a *API, clients string, demo bool) {
	v.require(a.Key == "" || len(a.Key) >= 16, fmt.Sprintf("want at least 16 bytes, not %d: a short key can be guessed", len(a.Key)), "api.key")
	v.require(!strings.ContainsFunc(a.Key, func(r rune) bool { return r <= ' ' || r > '~' }), "want ASCII without spaces: it goes into a header", "api.key")
	v.require(!a.Insecure || a.Key != "" || demo || a.Addr == "" || loopback(a.Addr),
		"without a key everybody who reaches the API could publish and disconnect: want a loopback api.addr such as 127.0.0.1:8001, or api.key instead",
		"api.insecure", "api.addr")
	v.require(!a.Pprof || a.Addr != "" && a.Addr != clients, "profiles are for operators: want an api.addr of its own, which is not client.addr",
		"api.pprof", "api.addr", "client.addr")
	v.require(a.RequestSize >= 1<<10 && a.RequestSize <= 1<<30, fmt.Sprintf("want 1KiB to 1GiB, not %s", a.RequestSize), "api.request_size")
}

func validAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func loopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (v *validator) client(c *Client) {
	for _, origin := range c.AllowedOrigins {
		v.require(validOrigin(origin), fmt.Sprintf("want *, or scheme://host such as https://example.com or https://*.example.com, not %q", origin),
			"client.allowed_origins")
	}
	v.require((c.TLS.Cert == "") == (c.TLS.Key == ""), "a certificate needs its key, and a key its certificate", "client.tls.cert", "client.tls.key")
	v.require(c.TLS.TicketSecret == "" || len(c.TLS.TicketSecret) >= 16, fmt.Sprintf("want at least 16 bytes, not %d: a short secret can be guessed",
		len(c.TLS.TicketSecret)), "client.tls.ticket_secret")
	v.require(c.AcceptRate >= 0, "want 0 or more", "client.accept_rate")
	v.require(c.AddressRate >= 0, "want 0 or more", "client.accept_rate_per_address")
	v.atLeast("client.accept_burst", c.AcceptBurst, 0)
	v.atLeast("client.max_connections", c.MaxConnections, 0)
	v.atLeast("client.flushers", c.Flushers, 0)
	v.positive("client.handshake_timeout", c.HandshakeTimeout)
	v.positive("client.connect_timeout", c.ConnectTimeout)
	v.positive("client.write_timeout", c.WriteTimeout)
	v.require(c.ReadBuffer >= 128 && c.ReadBuffer <= 1<<20, fmt.Sprintf("want 128 to 1MiB, not %s", c.ReadBuffer), "client.read_buffer")

	paths := c.WebSocket.Paths
	v.require(len(paths) > 0, "want at least one path", "client.websocket.paths")
	for i, path := range paths {
		v.require(validPath(path), fmt.Sprintf("want paths such as /connection/websocket, not %q", path), "client.websocket.paths")
		v.require(!slices.Contains(paths[:i], path), fmt.Sprintf("%q is there twice", path), "client.websocket.paths")
	}

	level := c.WebSocket.Compression.Level
	v.require(level >= 1 && level <= 9, fmt.Sprintf("want 1 to 9, not %d", level), "client.websocket.compression.level")

	// The protocol tells clients the interval in whole seconds.
	v.require(c.Ping.Interval >= time.Second, fmt.Sprintf("want at least 1s, not %s", durationText(c.Ping.Interval)), "client.ping.interval")
	v.positive("client.ping.timeout", c.Ping.Timeout)
	v.require(c.Ping.Timeout < c.Ping.Interval, fmt.Sprintf("client.ping.timeout (%s) must be shorter than client.ping.interval (%s)",
		durationText(c.Ping.Timeout), durationText(c.Ping.Interval)), "client.ping.timeout", "client.ping.interval")
}

// validOrigin reports whether the text is *, or what browsers send as Origin with an optional "*." before the host.
func validOrigin(origin string) bool {
	if origin == "*" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return false
	}
	return origin == u.Scheme+"://"+u.Host && !strings.Contains(strings.TrimPrefix(u.Host, "*."), "*")
}

func validPath(path string) bool {
	u, err := url.Parse(path)
	return err == nil && strings.HasPrefix(path, "/") && path != "/" && u.Path == path && !strings.ContainsAny(path, "{} ")
}

func (v *validator) limits(l *Limits) {
	const p = "client.limits."
	v.require(l.FrameSize > 0, "want more than 0", p+"frame_size")
	v.require(l.QueueSize >= l.FrameSize, fmt.Sprintf("client.limits.queue_size (%s) must hold at least one frame of client.limits.frame_size (%s)",
		l.QueueSize, l.FrameSize), p+"queue_size", p+"frame_size")
	v.atLeast(p+"queue_messages", l.QueueMessages, 1)
	rate := l.CommandsPerSecond
	v.require(rate >= 0 && !math.IsInf(rate, 1), fmt.Sprintf("want 0 or more, not %v", rate), p+"commands_per_second")
	v.require(rate <= 0 || l.CommandBurst >= 1, fmt.Sprintf("want at least 1, not %d: no command would ever pass", l.CommandBurst),
		p+"command_burst", p+"commands_per_second")
	v.atLeast(p+"errors_before_close", l.ErrorsBeforeClose, 0)
	v.atLeast(p+"channels", l.Channels, 1)
	v.atLeast(p+"sessions_per_user", l.SessionsPerUser, 0)
	v.require(l.ChannelLength >= 1 && l.ChannelLength <= 255, fmt.Sprintf("want 1 to 255, not %d", l.ChannelLength), p+"channel_length")
}

func (v *validator) auth(a *Auth) {
	v.oneOf("auth.type", a.Type, "hook", "jwt", "none")
	v.oneOf("auth.user", a.User, "anonymous", "claimed")
	secret := len(a.JWT.HMACSecret)
	v.require(secret == 0 || secret >= 32, fmt.Sprintf("want at least 32 bytes, not %d: a short secret can be guessed from one token", secret),
		"auth.jwt.hmac_secret")
	v.require(a.Type != "jwt" || secret > 0 || a.JWT.PublicKey != "", "jwt needs a key: set auth.jwt.hmac_secret or auth.jwt.public_key",
		"auth.type", "auth.jwt.hmac_secret", "auth.jwt.public_key")
	v.require(a.JWT.Leeway >= 0, "want 0 or more", "auth.jwt.leeway")
}

func (v *validator) namespace(path string, n Namespace) {
	path += "."
	v.oneOf(path+"subscribe", n.Subscribe, "anyone", "user", "granted", "nobody")
	v.oneOf(path+"publish", n.Publish, "anyone", "user", "granted", "nobody")
	v.oneOf(path+"slow_consumer", n.SlowConsumer, "disconnect", "drop_oldest", "conflate")
	v.oneOf(path+"content", n.Content, "json", "binary")
	v.oneOf(path+"audit_payload", string(n.AuditPayload), string(PayloadFull), string(PayloadHash), string(PayloadNone))
	v.atLeast(path+"history_size", n.HistorySize, 0)
	v.require(n.HistoryTTL > 0 || n.HistoryTTL == 0 && n.HistorySize <= 0, fmt.Sprintf("history needs a time to live, not %s",
		durationText(n.HistoryTTL)), path+"history_ttl", path+"history_size")
	v.oneOf(path+"history_storage", n.HistoryStorage, "file", "memory")
	v.require(n.HistorySize <= 0 || n.HistoryStorage != "file" || n.HistoryTTL == 0 || n.HistoryTTL >= time.Second, fmt.Sprintf("history in files needs at least 1s, not %s",
		durationText(n.HistoryTTL)), path+"history_ttl", path+"history_storage")
	v.require(!n.Recovery || n.HistorySize > 0, "recovery needs history: set "+path+"history_size", path+"recovery", path+"history_size")
	v.require(n.BatchMaxDelay == 0 || n.BatchMaxDelay >= time.Millisecond && n.BatchMaxDelay <= time.Second,
		fmt.Sprintf("want 1ms to 1s, or 0, not %s", durationText(n.BatchMaxDelay)), path+"batch_max_delay")
	v.require(n.BatchMaxSize >= 2 && n.BatchMaxSize <= 10_000, fmt.Sprintf("want 2 to 10000, not %d", n.BatchMaxSize), path+"batch_max_size")
	v.require(!n.BatchLatest || n.BatchMaxDelay > 0, "only what waits can be outdated: set "+path+"batch_max_delay",
		path+"batch_flush_latest", path+"batch_max_delay")
	v.require(!n.Recovery || !n.BatchLatest, "batch_flush_latest drops publications that recovery promises: want one of the two",
		path+"batch_flush_latest", path+"recovery")
	v.require(!n.Recovery || n.SlowConsumer != "drop_oldest" && n.SlowConsumer != "conflate",
		fmt.Sprintf("slow_consumer %s drops publications that recovery promises: want disconnect, or no recovery", n.SlowConsumer),
		path+"slow_consumer", path+"recovery")
}

func (v *validator) plugins(p *Plugins) {
	v.positive("plugins.deadline", p.Deadline)
	v.oneOf("plugins.on_error", p.OnError, "deny", "allow")
	v.require(validMemory(p.Memory), "want 64KiB to 4GiB", "plugins.memory")
	v.require(p.MaxSize > 0, "want more than 0", "plugins.max_size")
	v.atLeast("plugins.breaker.faults", p.Breaker.Faults, 0)
	v.positive("plugins.breaker.window", p.Breaker.Window)
	v.positive("plugins.breaker.cooldown", p.Breaker.Cooldown)
	names := map[string]bool{}
	for i, plugin := range p.Load {
		path := element("plugins.load", i)
		name := plugin.Name
		if name == "" {
			name = strings.TrimSuffix(filepath.Base(plugin.Path), filepath.Ext(plugin.Path))
		}
		v.require(plugin.Name != "" || plugin.Path != "", "want a name or a path", path, path+".name", path+".path")
		v.require(plugin.Name == "" || validName.MatchString(plugin.Name),
			fmt.Sprintf("%q cannot be a name: want letters, digits, - and _", plugin.Name), path+".name")
		v.require(!names[name] || name == "", fmt.Sprintf("there are two plugins with the name %q", name), path, path+".name", path+".path")
		v.require(plugin.Deadline >= 0, "want 0 or more", path+".deadline")
		v.require(plugin.Memory == 0 || validMemory(plugin.Memory), "want 64KiB to 4GiB", path+".memory")
		v.atLeast(path+".breaker.faults", plugin.Breaker.Faults, -1)
		v.require(plugin.Breaker.Window >= 0, "want 0 or more", path+".breaker.window")
		v.require(plugin.Breaker.Cooldown >= 0, "want 0 or more", path+".breaker.cooldown")
		if plugin.OnError != "" {
			v.oneOf(path+".on_error", plugin.OnError, "deny", "allow")
		}
		for n, key := range plugin.Keys {
			at := element(path+".keys", n)
			v.require(validName.MatchString(key.Name), fmt.Sprintf("%q cannot be a name: want letters, digits, - and _", key.Name), at, at+".name")
			v.require(key.Secret == "" || key.PEM == "", "want a secret or a pem, and not both", at+".secret", at+".pem")
			v.require(!slices.ContainsFunc(plugin.Keys[:n], func(other Key) bool { return other.Name == key.Name }),
				fmt.Sprintf("there are two keys with the name %q", key.Name), at, at+".name")
		}
		v.require(len(plugin.Keys) == 0 || plugin.Allow.JWT, "keys are for a plugin that has allow.jwt", path+".keys", path+".allow.jwt")
		names[name] = true
	}
}

// validMemory reports whether a Wasm plugin can have that much: from a page to all that 32 bits can address.
func validMemory(s Size) bool { return s >= 64<<10 && s <= 4<<30 }

// MaxWorkers is more than any machine has use for: a worker uses several processors.
const MaxWorkers = 256

func (v *validator) agent(c *Config) {
	a := &c.Agent
	v.require(a.Workers >= 0 && a.Workers <= MaxWorkers, fmt.Sprintf("want 0 to %d, not %d", MaxWorkers, a.Workers), "agent.workers")
	v.require(a.Name == "" || len(a.Name) <= maxAgentName && ValidNodeName(a.Name),
		fmt.Sprintf("%q cannot be the name of a node: want 1 to %d letters, digits, dots, - and _", a.Name, maxAgentName), "agent.name")
	v.require(a.DrainWindow >= 0 && a.DrainWindow <= time.Hour, fmt.Sprintf("want 0 to 1h, not %s", durationText(a.DrainWindow)), "agent.drain_window")
	v.require(a.Workers <= 0 || c.API.Addr == "" || c.API.Addr != c.Client.Addr,
		"with agent.workers the client listener belongs to the workers, and the API to the agent: want another address than client.addr, or none",
		"api.addr", "client.addr", "agent.workers")
}

func (v *validator) audit(a *Audit) {
	if a.Store != "" {
		v.oneOf("audit.store", a.Store, "sqlite", "clickhouse", "none")
	}
	v.require(a.Store != "clickhouse" || a.ClickHouse.DSN != "", "the store clickhouse needs audit.clickhouse.dsn", "audit.store", "audit.clickhouse.dsn")
	v.require(a.ClickHouse.DSN == "" || validDSN(a.ClickHouse.DSN), "want clickhouse://user:password@host:9000/database", "audit.clickhouse.dsn")
	tls := a.ClickHouse.TLS
	v.require((tls.Cert == "") == (tls.Key == ""), "a certificate needs its key, and a key its certificate", "audit.clickhouse.tls.cert", "audit.clickhouse.tls.key")
	v.require(validCluster(a.ClickHouse.Cluster), "want letters, digits, dots, - and _, or a macro such as {cluster}", "audit.clickhouse.cluster")
	for key, keep := range map[string]time.Duration{
		"messages": a.Keep.Messages, "decisions": a.Keep.Decisions, "sessions": a.Keep.Sessions, "actions": a.Keep.Actions, "counts": a.Keep.Counts,
	} {
		v.require(keep == 0 || keep >= time.Hour, "want 1h or more, or 0 for ever", "audit.keep."+key)
	}
	v.oneOf("audit.mode", a.Mode, "fast", "durable")
	v.oneOf("audit.on_full", a.OnFull, "drop", "block")
	v.require(a.SpoolSize >= 0, "want 0 or more", "audit.spool_size")
	v.positive("audit.clickhouse.timeout", a.ClickHouse.Timeout)
	v.positive("audit.flush_interval", a.FlushInterval)
	v.atLeast("audit.sqlite.retention_rows", a.SQLite.RetentionRows, 0)
	v.atLeast("audit.queue", a.Queue, 1)
	v.require(a.QueueSize > 0, "want more than 0", "audit.queue_size")
	v.require(a.BatchEvents >= 1 && a.BatchEvents <= a.Queue, fmt.Sprintf("audit.batch_events (%d) must be at least 1 and at most audit.queue (%d)",
		a.BatchEvents, a.Queue), "audit.batch_events", "audit.queue")
}

// validCluster keeps what is no name out of the statements that it becomes a part of.
func validCluster(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._-{}", r)
	})
}

func validDSN(dsn string) bool {
	u, err := url.Parse(dsn) // The error would repeat the password.
	return err == nil && u.Scheme == "clickhouse" && u.Host != ""
}
