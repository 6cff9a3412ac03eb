// Package config is the one place where configuration enters the program: the typed structure, its defaults, the layers that
// fill it (files, environment, flags), the validation, and the origin of every value.
//
// A Config that Load returned has been checked once and is not checked again. No package below this one reads the environment,
// flags or files. Every field carries its documentation in a `doc` tag; docs/configuration.md is generated from it.
package config

import "time"

// Config is everything an instance can be told. A field with the tag only:"agent" concerns the agent's process alone: Export leaves
// it out of what workers get.
type Config struct {
	Demo       bool                 `koanf:"demo" doc:"Demo mode: loopback only, everybody may connect under any name, open default namespace. On by itself when no configuration at all is given."`
	Data       string               `koanf:"data" only:"agent" doc:"Directory for everything the server keeps."`
	Client     Client               `koanf:"client"`
	API        API                  `koanf:"api" only:"agent"`
	Public     Public               `koanf:"public"`
	Auth       Auth                 `koanf:"auth"`
	Namespaces map[string]Namespace `koanf:"namespaces" doc:"Options of each namespace, by name. A channel without a colon belongs to the namespace default."`
	Plugins    Plugins              `koanf:"plugins"`
	Agent      Agent                `koanf:"agent"`
	Bus        Bus                  `koanf:"bus"`
	Audit      Audit                `koanf:"audit"`
	Log        Log                  `koanf:"log"`
	AccessLog  AccessLog            `koanf:"access_log"`
	Shutdown   Shutdown             `koanf:"shutdown"`
}

// Client is the listener for clients and what it allows them.
type Client struct {
	Addr             string        `koanf:"addr" doc:"Address of the listener for clients and the public pages."`
	AllowedOrigins   []string      `koanf:"allowed_origins" doc:"Origins that may connect from a browser besides the server's own, such as https://example.com or https://*.example.com; * allows all."`
	TLS              ClientTLS     `koanf:"tls"`
	MaxConnections   int           `koanf:"max_connections" doc:"Most connections at a time; 0: no limit."`
	AcceptRate       float64       `koanf:"accept_rate" doc:"New connections per second that each process takes; 0: no limit. Those beyond it are told at once to come back later (503), or closed before a TLS handshake."`
	AcceptBurst      int           `koanf:"accept_burst" doc:"New connections that a process takes at once before the rate counts; 0: those of a second."`
	AddressRate      float64       `koanf:"accept_rate_per_address" doc:"The same for each IPv4 address and IPv6 /64 network, with twice as many at once; 0: no limit. Not for servers behind a proxy, where all clients have its address."`
	HandshakeTimeout time.Duration `koanf:"handshake_timeout" doc:"Time a client has for its HTTP request."`
	ConnectTimeout   time.Duration `koanf:"connect_timeout" doc:"Time a client has for its connect command before it is closed with 3502."`
	WriteTimeout     time.Duration `koanf:"write_timeout" doc:"Time a full socket may take nothing before the connection is closed."`
	ReadBuffer       Size          `koanf:"read_buffer" doc:"Read buffer of a connection over which something comes; while nothing does it has none."`
	Flushers         int           `koanf:"flushers" doc:"Goroutines that write what is queued; 0: half the processors, at least one."`
	WebSocket        WebSocket     `koanf:"websocket"`
	Ping             Ping          `koanf:"ping"`
	Limits           Limits        `koanf:"limits"`
}

// ClientTLS is the encryption of the clients' listener.
type ClientTLS struct {
	Cert         string `koanf:"cert" doc:"PEM file with the certificate for the clients' listener, and those between it and the authority; then clients come by wss:// and https:// only. It is read again when it changes."`
	Key          string `koanf:"key" doc:"PEM file with its key."`
	TicketSecret string `koanf:"ticket_secret" secret:"true" doc:"Secret that the keys of session tickets are made from, another one every 12 hours, so that a client resumes its TLS session on any process; at least 16 bytes, and the same on all agents with that address. Empty: the one in the file tls.secret in the data directory, made at the first start."`
}

// WebSocket is the WebSocket transport.
type WebSocket struct {
	Paths       []string    `koanf:"paths" doc:"URL paths that accept WebSocket connections."`
	Compression Compression `koanf:"compression"`
}

// Compression is permessage-deflate (RFC 7692).
type Compression struct {
	Enabled bool `koanf:"enabled" doc:"Compress messages to clients that offer permessage-deflate, and let them do so. It saves bandwidth and costs CPU time, once for a publication however many get it."`
	Level   int  `koanf:"level" doc:"1 (fastest) to 9 (smallest)."`
	MinSize Size `koanf:"min_size" doc:"Shorter messages are not compressed: it gains little, or nothing."`
}

// Ping is the watch over silent clients.
type Ping struct {
	Interval time.Duration `koanf:"interval" doc:"Time between server pings."`
	Timeout  time.Duration `koanf:"timeout" doc:"Time a client has to answer a ping before it is closed with 3012."`
}

// Limits bound what one client may use.
type Limits struct {
	FrameSize         Size    `koanf:"frame_size" doc:"Largest frame a client may send; a larger one is closed with 1009."`
	CommandsPerSecond float64 `koanf:"commands_per_second" doc:"Commands a session may send per second; 0: no limit. Above it a command is answered with error 111."`
	CommandBurst      int     `koanf:"command_burst" doc:"Commands a session may send at once before the rate counts."`
	ErrorsBeforeClose int     `koanf:"errors_before_close" doc:"Refused commands (errors 107 and 111) in a row after which the session is closed with 3509 or 3013; 0: never."`
	Channels          int     `koanf:"channels" doc:"Channels a session may be subscribed to."`
	SessionsPerUser   int     `koanf:"sessions_per_user" doc:"Sessions one user may have, on all nodes together; 0: no limit. Above it the newcomer is closed with 3504."`
	ChannelLength     int     `koanf:"channel_length" doc:"Longest channel name, in bytes (1 to 255)."`
	QueueSize         Size    `koanf:"queue_size" doc:"Bytes that may wait for a slow client."`
	QueueMessages     int     `koanf:"queue_messages" doc:"Messages that may wait for a slow client."`
}

// API is the listener for operators.
type API struct {
	Addr        string `koanf:"addr" doc:"Address of metrics, health and the server API; empty: none; the same as client.addr: on that listener. Keep it private."`
	Key         string `koanf:"key" secret:"true" doc:"Key that opens the server API (/api/…), in the header X-API-Key; at least 16 bytes. Without it the server API is closed."`
	Insecure    bool   `koanf:"insecure" doc:"Open the server API without a key, to programs on this machine: only where api.addr is a loopback address."`
	RequestSize Size   `koanf:"request_size" doc:"Largest body of a request to the server API."`
	Pprof       bool   `koanf:"pprof" doc:"Take profiles of the server's processes for who may use the server API, at /debug/pprof/. Only where api.addr is another listener than client.addr."`
}

// Public is what is served to browsers beside the client endpoints.
type Public struct {
	Enabled bool   `koanf:"enabled" doc:"Serve static files."`
	Dir     string `koanf:"dir" doc:"Directory to serve instead of the built-in demo pages."`
}

// Auth says how clients prove who they are.
type Auth struct {
	Type string `koanf:"type" doc:"hook: only a plugin's connect hook admits; jwt: a token, or a plugin's connect hook; none: everybody."`
	User string `koanf:"user" doc:"With type none, who a client is: anonymous, or claimed (whatever the field user in its connect data says)."`
	JWT  JWT    `koanf:"jwt"`
}

// JWT is the check of tokens. Which algorithms are accepted follows from the keys alone.
type JWT struct {
	HMACSecret    string        `koanf:"hmac_secret" secret:"true" doc:"Secret for HS256, HS384 and HS512; at least 32 bytes."`
	PublicKey     string        `koanf:"public_key" doc:"PEM public key, or the path of its file: RSA (RS256 to RS512, PS256 to PS512), ECDSA (ES256 to ES512 by curve) or Ed25519 (EdDSA)."`
	Audience      string        `koanf:"audience" doc:"Required aud; empty: not checked."`
	Issuer        string        `koanf:"issuer" doc:"Required iss; empty: not checked."`
	Leeway        time.Duration `koanf:"leeway" doc:"Clock difference tolerated in exp, nbf and iat."`
	RequireExpiry bool          `koanf:"require_expiry" doc:"Refuse tokens without exp."`
}

// Namespace holds the options of the channels whose name begins with its name and a colon.
type Namespace struct {
	Subscribe      string        `koanf:"subscribe" doc:"Who may subscribe: anyone, user (authenticated), granted (by token or hook), nobody."`
	Publish        string        `koanf:"publish" doc:"Who may publish: anyone, user, granted, nobody."`
	Presence       bool          `koanf:"presence" doc:"Keep and show who is subscribed. Asking takes a subscription or a grant."`
	JoinLeave      bool          `koanf:"join_leave" doc:"Tell subscribers who comes and goes."`
	HistorySize    int           `koanf:"history_size" doc:"Publications kept per channel; 0: none."`
	HistoryTTL     time.Duration `koanf:"history_ttl" doc:"How long publications are kept."`
	HistoryStorage string        `koanf:"history_storage" doc:"Where they are kept: file (on the bus, over restarts), or memory (of this process: faster, and gone with it)."`
	HistoryDisk    Size          `koanf:"history_disk" doc:"Most bytes the namespace's history may take on disk; 0: an equal share of half of what is free, on an external bus no limit."`
	Recovery       bool          `koanf:"recovery" doc:"Let clients recover what they missed; needs history."`
	ExcludeSender  bool          `koanf:"exclude_sender" doc:"Do not deliver a publication to the session that published it."`
	SlowConsumer   string        `koanf:"slow_consumer" doc:"When a client's queue is full: disconnect (3008), drop_oldest, or conflate (keep only the newest publication of the channel)."`
	BatchMaxDelay  time.Duration `koanf:"batch_max_delay" doc:"How long publications of a channel may wait for others, to reach each subscriber in one message; 1ms to 1s. 0: they do not wait."`
	BatchMaxSize   int           `koanf:"batch_max_size" doc:"So many publications, or 64 KiB of them, wait for no more; 2 to 10000."`
	BatchLatest    bool          `koanf:"batch_flush_latest" doc:"Deliver only the newest of those that waited, for channels that tell a state. It excludes recovery."`
	ChannelNumbers bool          `koanf:"allow_channel_compaction" doc:"Name channels by a number instead of their name in what is pushed to clients that ask for it, as the JavaScript SDK does."`
	Content        string        `koanf:"content" doc:"What publications hold: json (checked), or binary (Protobuf clients only)."`
	AuditPayload   PayloadPolicy `koanf:"audit_payload" doc:"What the audit keeps of payloads: full (also true), hash (their SHA-256), or none (also false)."`
}

// Plugins is the owner's code.
type Plugins struct {
	Dir      string        `koanf:"dir" only:"agent" doc:"Directory whose *.lua and *.wasm files are loaded in the order of their names; missing: none. Files in folders below it are not loaded."`
	Load     []Plugin      `koanf:"load" only:"agent" doc:"Plugins loaded before those of the directory, in this order."`
	Watch    bool          `koanf:"watch" only:"agent" doc:"Whether changed files are loaded into the running server by themselves, within two seconds. Without, zenconn plugin reload does it."`
	Deadline time.Duration `koanf:"deadline" doc:"Time a plugin has for one answer."`
	OnError  string        `koanf:"on_error" doc:"What a fault of a plugin means: deny or allow."`
	Memory   Size          `koanf:"memory" doc:"Memory that each instance of a Wasm plugin may have, at most 4GiB. A plugin has twice as many instances as there are processors at most."`
	MaxSize  Size          `koanf:"max_size" doc:"Largest file of a Wasm plugin."`
	Breaker  Breaker       `koanf:"breaker"`
}

// Breaker says when a failing plugin is no longer asked.
type Breaker struct {
	Faults   int           `koanf:"faults" doc:"Faults of a plugin's hook in a row, within the window, after which it is no longer asked; on_error says what that means. 0: never; for one plugin: -1."`
	Window   time.Duration `koanf:"window" doc:"Time within which the faults must come."`
	Cooldown time.Duration `koanf:"cooldown" doc:"Time after which one call tries whether it works again."`
}

// Plugin is one entry of the ordered list. Zero fields take the values of Plugins.
type Plugin struct {
	Name     string         `koanf:"name" doc:"Name in logs and audit; default: the file's name without its ending. A name without a path means the bundled plugin of that name."`
	Path     string         `koanf:"path" doc:"File of the plugin."`
	Deadline time.Duration  `koanf:"deadline" doc:"Time it has for one answer."`
	OnError  string         `koanf:"on_error" doc:"What its faults mean: deny or allow."`
	Memory   Size           `koanf:"memory" doc:"Memory that each of its instances may have, for a Wasm plugin."`
	Breaker  Breaker        `koanf:"breaker"`
	Config   map[string]any `koanf:"config" secret:"true" doc:"Values handed to the plugin."`
	Allow    Allow          `koanf:"allow"`
	Keys     []Key          `koanf:"keys" doc:"Keys it may sign and verify tokens with, by their names."`
}

// Allow is what a plugin may have the server do for it. Everybody may write to the log, count, and have the time and random numbers.
type Allow struct {
	KV          bool     `koanf:"kv" doc:"Store values (kv_get, kv_set, kv_cas, kv_delete), apart from those of other plugins."`
	HTTP        []string `koanf:"http" doc:"Web servers it may ask (http_request): hosts such as api.example.com, *.example.com or 192.0.2.7:8080; without a port, the one of https or http. A host in a private network or on this machine needs its address, or a network such as 10.0.0.0/8, in the list too; localhost stands for the machine itself."`
	Publish     bool     `koanf:"publish" doc:"Publish to every channel, in the server's name (server_publish)."`
	Unsubscribe bool     `koanf:"unsubscribe" doc:"End everybody's subscriptions (server_unsubscribe)."`
	Disconnect  bool     `koanf:"disconnect" doc:"End everybody's sessions (server_disconnect)."`
	JWT         bool     `koanf:"jwt" doc:"Sign and verify tokens (jwt_sign, jwt_verify) with its keys."`
	Password    bool     `koanf:"password" doc:"Hash and verify passwords (password_hash, password_verify)."`
}

// Key is a key that a plugin has tokens signed and verified with, without seeing it.
type Key struct {
	Name      string `koanf:"name" doc:"What the plugin calls it."`
	Algorithm string `koanf:"algorithm" doc:"The only algorithm it is used for. Empty: HS256 for a secret, RS256 for RSA, and for other keys the one they have."`
	Secret    string `koanf:"secret" secret:"true" doc:"Secret for HS256, HS384 or HS512; at least 32 bytes."`
	PEM       string `koanf:"pem" secret:"true" doc:"Key in PEM, or the path of its file: RSA, ECDSA or Ed25519. A public one only verifies."`
}

// Agent is how an instance is made of processes.
type Agent struct {
	Workers     int           `koanf:"workers" only:"agent" doc:"Worker processes that keep the clients, on the same client.addr; about one for two processors. 0: this process keeps them itself."`
	Name        string        `koanf:"name" only:"agent" doc:"Name of this node in logs, audit and status; its workers are called NAME-1, NAME-2 and so on. Empty: the name of the machine."`
	DrainWindow time.Duration `koanf:"drain_window" doc:"Time over which the clients of a worker that is to be restarted are told to reconnect, evenly, so that they do not all come back at once."`
}

// Bus connects the processes of an installation and keeps what outlives them.
type Bus struct {
	URL             string     `koanf:"url" only:"agent" secret:"password" doc:"Servers of an external NATS 2.11 or later with JetStream, such as nats://a:4222,nats://b:4222; tls:// insists on TLS. Empty: an embedded one, in the data directory."`
	CredentialsFile string     `koanf:"credentials_file" only:"agent" doc:"File with the credentials (.creds) for bus.url."`
	User            string     `koanf:"user" only:"agent" doc:"User for bus.url."`
	Password        string     `koanf:"password" only:"agent" secret:"true" doc:"Its password."`
	Token           string     `koanf:"token" only:"agent" secret:"true" doc:"Token for bus.url, instead of a user; or the one that others must show on bus.listen, of 16 characters or more. Empty for bus.listen: the one in the file bus.token in the data directory, made at the first start."`
	TLS             BusTLS     `koanf:"tls" only:"agent"`
	Replicas        int        `koanf:"replicas" doc:"Copies of everything kept on bus.url, or in a cluster of agents (bus.cluster): 1, 3 or 5."`
	Prefix          string     `koanf:"prefix" doc:"How all subjects and streams begin. Installations that share a NATS need different ones."`
	Listen          string     `koanf:"listen" only:"agent" doc:"Address where the embedded NATS listens for other processes, such as 127.0.0.1:0 for any free port; empty: it does not. One that is not loopback needs bus.tls.cert, or bus.listen_insecure."`
	ListenInsecure  bool       `koanf:"listen_insecure" only:"agent" doc:"Listen on addresses that are not loopback without encryption: whoever can read that network can read every message and the token. Only for networks that encrypt themselves, such as WireGuard."`
	Cluster         BusCluster `koanf:"cluster" only:"agent"`
}

// BusTLS is the encryption of the bus.
type BusTLS struct {
	CA         string `koanf:"ca" doc:"PEM file with the authorities that may have signed the other side's certificate; empty: those of the system."`
	Cert       string `koanf:"cert" doc:"PEM file with our certificate: shown to bus.url if it asks for one, or by bus.listen and bus.cluster.listen, where it is read again when it changes."`
	Key        string `koanf:"key" doc:"PEM file with its key."`
	ServerName string `koanf:"server_name" doc:"Name that the certificate of bus.url must be for, when it is not the one in the URL."`
}

// BusCluster joins the embedded NATS servers of several agents.
type BusCluster struct {
	Listen string `koanf:"listen" doc:"Address where this agent's NATS listens for those of the other agents, such as 10.0.0.1:6222; empty: it is alone. One that is not loopback needs bus.tls, or bus.listen_insecure."`
	Peers  string `koanf:"peers" doc:"The bus.cluster.listen of all agents, this one too, as nats-route://host:port with commas between them: the same on all. Of three agents one may fail, of five two."`
	Name   string `koanf:"name" doc:"Name of the cluster, the same on all agents; empty: bus.prefix."`
	Secret string `koanf:"secret" secret:"true" doc:"What the agents show each other, the same on all; 16 characters or more."`
}

// Audit is the record of what happened.
type Audit struct {
	Store         string        `koanf:"store" doc:"sqlite, clickhouse, or none. Empty: clickhouse when a DSN is set, otherwise sqlite."`
	Mode          string        `koanf:"mode" doc:"fast: publishers do not wait for the record of their messages. durable: they are answered when it is on the bus."`
	OnFull        string        `koanf:"on_full" doc:"What happens when events cannot be taken: drop (they are lost and counted) or block (publishers wait up to 5 s and are refused then)."`
	SpoolSize     Size          `koanf:"spool_size" only:"agent" doc:"Bytes on the bus for events on their way to the store; 0: a quarter of what the bus may take of the disk, 4 GiB with bus.url."`
	Queue         int           `koanf:"queue" doc:"Events that may wait in a process's memory."`
	QueueSize     Size          `koanf:"queue_size" doc:"Bytes of payload that may wait in a process's memory."`
	BatchEvents   int           `koanf:"batch_events" doc:"Events that are written at once."`
	FlushInterval time.Duration `koanf:"flush_interval" doc:"Longest time an event waits for its batch."`
	Keep          AuditKeep     `koanf:"keep"`
	SQLite        SQLite        `koanf:"sqlite" only:"agent"`
	ClickHouse    ClickHouse    `koanf:"clickhouse"`
}

// AuditKeep says how long the audit is kept.
type AuditKeep struct {
	Messages  time.Duration `koanf:"messages" doc:"How long messages, their deliveries and drops are kept; 0: for ever. ClickHouse deletes by itself, a day at a time."`
	Decisions time.Duration `koanf:"decisions" doc:"How long decisions are kept; 0: for ever."`
	Sessions  time.Duration `koanf:"sessions" doc:"How long sessions are kept; 0: for ever."`
	Actions   time.Duration `koanf:"actions" doc:"How long actions are kept; 0: for ever."`
	Counts    time.Duration `koanf:"counts" doc:"How long ClickHouse keeps the counts by the minute; 0: for ever."`
}

// SQLite is the embedded audit store.
type SQLite struct {
	Path          string `koanf:"path" doc:"Database file; empty: audit.db in the data directory."`
	RetentionRows int    `koanf:"retention_rows" doc:"Rows kept of each table, the newest ones; 0: any number. What is older than audit.keep goes anyway."`
}

// ClickHouse is the audit store for production.
type ClickHouse struct {
	DSN     string        `koanf:"dsn" only:"agent" secret:"password" doc:"clickhouse://user:password@host:9000/database; native protocol. Several hosts with commas between them are replicas: the first that answers is used."`
	Timeout time.Duration `koanf:"timeout" doc:"Time for one insert; a server that proves slower gets up to sixteen times as much."`
	Cluster string        `koanf:"cluster" only:"agent" doc:"Name of a ClickHouse cluster, of one shard, on which the tables are made and replicated; empty: on the server of the DSN only. It cannot be changed once there are tables."`
	TLS     ClickHouseTLS `koanf:"tls" only:"agent"`
}

// ClickHouseTLS is the encryption of the way to ClickHouse. With secure=true in the DSN the authorities of the system are trusted.
type ClickHouseTLS struct {
	CA         string `koanf:"ca" doc:"PEM file with the authorities that may have signed the server's certificate. Any of these keys turns TLS on."`
	Cert       string `koanf:"cert" doc:"PEM file with our certificate, where the server asks for one."`
	Key        string `koanf:"key" doc:"PEM file with its key."`
	ServerName string `koanf:"server_name" doc:"Name that the server's certificate must be for, when it is not the one in the DSN."`
}

// Log is the application log.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error."`
	Format string `koanf:"format" doc:"text or json."`
}

// AccessLog is the log of HTTP requests and WebSocket handshakes.
type AccessLog struct {
	Format string `koanf:"format" doc:"off, combined (nginx), common (Apache) or json."`
	Path   string `koanf:"path" doc:"File to append to; empty: standard output."`
}

// Shutdown is the end of a process.
type Shutdown struct {
	Timeout time.Duration `koanf:"timeout" doc:"Time for everything to finish after the first signal."`
}
