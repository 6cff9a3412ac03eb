package config

import "time"

// Default returns the built-in configuration. A server that runs on it admits nobody whom no plugin admits and knows no channel.
func Default() Config {
	return Config{
		Data: "./data",
		Client: Client{
			Addr:             "127.0.0.1:8000",
			AllowedOrigins:   []string{},
			HandshakeTimeout: 5 * time.Second,
			ConnectTimeout:   15 * time.Second,
			WriteTimeout:     10 * time.Second,
			ReadBuffer:       4 << 10,
			WebSocket: WebSocket{
				Paths:       []string{"/connection/websocket"},
				Compression: Compression{Level: 1, MinSize: 512},
			},
			Ping: Ping{Interval: 25 * time.Second, Timeout: 8 * time.Second},
			Limits: Limits{
				FrameSize: 64 << 10,
				// Far above what a person can cause and far below what hurts; a burst of two seconds covers an application that
				// subscribes to all its channels at once.
				CommandsPerSecond: 100,
				CommandBurst:      200,
				ErrorsBeforeClose: 100,
				Channels:          128,
				ChannelLength:     255,
				QueueSize:         1 << 20,
				QueueMessages:     4096, // So that the bytes are the limit from 256 bytes per message on.
			},
		},
		API:        API{Addr: "127.0.0.1:8001", RequestSize: 4 << 20},
		Public:     Public{Enabled: true},
		Auth:       Auth{Type: "hook", User: "anonymous", JWT: JWT{Leeway: 10 * time.Second}},
		Namespaces: map[string]Namespace{},
		Plugins: Plugins{
			Dir: "./plugins", Load: []Plugin{}, Watch: true, Deadline: 50 * time.Millisecond, OnError: "deny", Memory: 16 << 20, MaxSize: 16 << 20,
			Breaker: Breaker{Faults: 20, Window: 10 * time.Second, Cooldown: 10 * time.Second},
		},
		Agent: Agent{DrainWindow: 10 * time.Second},
		Bus:   Bus{Replicas: 1, Prefix: "zenconn"},
		Audit: Audit{
			Mode: "fast", OnFull: "drop",
			Queue:       100_000,
			QueueSize:   64 << 20,
			BatchEvents: 10_000,
			// Short enough that a person sees what just happened.
			FlushInterval: 250 * time.Millisecond,
			ClickHouse:    ClickHouse{Timeout: 30 * time.Second},
			Keep: AuditKeep{
				Messages: 90 * 24 * time.Hour, Decisions: 90 * 24 * time.Hour, Sessions: 400 * 24 * time.Hour, Actions: 3 * 365 * 24 * time.Hour,
				Counts: 400 * 24 * time.Hour,
			},
		},
		Log:       Log{Level: "info", Format: "text"},
		AccessLog: AccessLog{Format: "off"},
		Shutdown:  Shutdown{Timeout: 10 * time.Second},
	}
}

// DefaultNamespace returns what a namespace has where its entry says nothing.
func DefaultNamespace() Namespace {
	return Namespace{
		Subscribe:      "granted",
		Publish:        "granted",
		HistoryTTL:     10 * time.Minute,
		HistoryStorage: "file",
		SlowConsumer:   "disconnect",
		BatchMaxSize:   100,
		Content:        "json",
		AuditPayload:   PayloadFull,
	}
}

// demoTree is the layer between the defaults and the files in demo mode.
func demoTree() map[string]any {
	return map[string]any{
		"demo":   true,
		"client": map[string]any{"addr": "127.0.0.1:8000"},
		"api":    map[string]any{"addr": "127.0.0.1:8001", "insecure": true},
		"auth":   map[string]any{"type": "none", "user": "claimed"},
		"namespaces": map[string]any{
			"default": map[string]any{
				"subscribe": "anyone", "publish": "anyone", "presence": true, "join_leave": true,
				"history_size": 100, "history_ttl": "10m", "recovery": true,
			},
		},
	}
}
