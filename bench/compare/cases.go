package main

import (
	"slices"
	"strconv"

	"github.com/zenconn/server/bench"
)

// A group is measured together: its servers take turns, so that what else the machine does meets all of them alike.
type group struct {
	id       string // For -case.
	name     string
	scenario bench.Scenario
	args     []string // Of zenconn bench, besides the scenario.
	servers  []server
	figures  []figure
	rows     []row
	byAPI    bool // The server API is asked.
}

// server is one of the programs that a group measures.
type server struct {
	name    string
	control bool     // bench/baseline; otherwise zenconn.
	args    []string // Of zenconn, beyond the configuration.
	environ []string
	bench   []string // Arguments of the load generator for this one alone.
}

// row compares a server of the group with another one, or with nothing.
type row struct {
	server  string
	against string // Empty: nothing.
	goals   map[string]goal
}

// goal is what a figure has to be; one of the limits is set.
type goal struct {
	atLeast, atMost           float64
	ratioAtLeast, ratioAtMost float64 // To the one it is compared with.
}

// figure is something that a run says about a server.
type figure struct {
	name     string
	decimals int
	value    func(*result) float64
}

// secret signs the tokens of a server that lives for seconds.
const secret = "thirty-two-bytes-that-nobody-keeps" //nolint:gosec // See above.

// The servers.
var (
	auditOff    = server{name: "audit off", args: []string{"--audit.store", "none"}}
	auditSQLite = server{name: "audit in SQLite"}
	// A plugin in C that judges every publication: nobody comes near its limit, and a busy machine does not make it late.
	hooked = server{name: "audit off, Wasm hook", args: auditOff.args, environ: []string{
		"ZENCONN_PLUGINS__DEADLINE=10s",
		`ZENCONN_PLUGINS__LOAD=[{"name":"rate-limit","allow":{"kv":true},"config":{"limits":[{"on":"publish","per":"user","rate":1000000}]}}]`,
	}}
	control = server{name: "control", control: true}
)

// auditClickHouse is a server whose audit is in the ClickHouse of a DSN.
func auditClickHouse(dsn string) server {
	return server{name: "audit in ClickHouse", args: []string{"--audit.store", "clickhouse"}, environ: []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=" + dsn}}
}

// The figures.
var (
	perSecond = func(what string) figure {
		return figure{what + "/s", 0, func(r *result) float64 { return r.PerSecond }}
	}
	cpu = figure{"server µs each", 2, func(r *result) float64 { return r.Server.PerCount }}
	p50 = figure{"p50 ms", 2, func(r *result) float64 { return r.Latency.P50 }}
	p99 = figure{"p99 ms", 1, func(r *result) float64 { return r.Latency.P99 }}

	seconds         = figure{"s until the last has all", 2, func(r *result) float64 { return r.Seconds }}
	perConnection   = figure{"KiB resident each", 1, func(r *result) float64 { return r.Server.PerConnection / 1024 }}
	perSubscription = figure{"MB resident for 100,000", 0, func(r *result) float64 { return r.Server.PerSubscription * 100_000 / 1e6 }}
)

// hookGoal and auditGoal are what is to be left of the rate with a plugin, and with the audit.
func hookGoal(rate figure) map[string]goal  { return map[string]goal{rate.name: {ratioAtLeast: 0.90}} }
func auditGoal(rate figure) map[string]goal { return map[string]goal{rate.name: {ratioAtLeast: 0.85}} }

// reach is the table of what the server is to reach, with its goals. The control keeps no record; so where the server is compared with
// it, the first row is without the audit, and the next one with it, as a server is by default.
func reach(clickhouse string) []group {
	deliveries, connections, trips, publications := perSecond("deliveries"), perSecond("connections"), perSecond("round trips"), perSecond("publications")
	traffic := []figure{deliveries, cpu, p50, p99}
	stored := []figure{publications, cpu, p50, p99}
	jwt := []string{"ZENCONN_AUTH__TYPE=jwt", "ZENCONN_AUTH__JWT__HMAC_SECRET=" + secret}
	tokens := func(s server) server {
		s.environ, s.bench = jwt, []string{"--token-secret", secret}
		return s
	}
	bare := server{name: "control, handshake only", control: true, bench: []string{"--bare"}}
	both := func(goals map[string]goal) []row {
		return []row{{auditOff.name, control.name, goals}, {auditSQLite.name, control.name, goals}}
	}

	fanout := group{
		id: "fanout", name: "fan-out to 1,000 subscribers, 8 publications in flight", scenario: bench.Fanout, figures: traffic,
		servers: []server{auditOff, control, hooked, auditSQLite},
		rows: []row{
			{auditOff.name, control.name, map[string]goal{deliveries.name: {ratioAtLeast: 3.3}, cpu.name: {ratioAtMost: 0.23}}},
			{hooked.name, auditOff.name, hookGoal(deliveries)},
			{auditSQLite.name, auditOff.name, auditGoal(deliveries)},
		},
	}
	if clickhouse != "" {
		s := auditClickHouse(clickhouse)
		fanout.servers = append(fanout.servers, s)
		fanout.rows = append(fanout.rows, row{s.name, auditOff.name, auditGoal(deliveries)})
	}
	const (
		intoMemory = "publish into a history in memory, 1,000 channels"
		intoFiles  = "publish into a history in files (JetStream), 1,000 channels"
	)
	history := func(id, name, namespace string, rate, cost float64) group {
		goals := map[string]goal{publications.name: {atLeast: rate}, cpu.name: {atMost: cost}}
		return group{
			id: id, name: name + ", 16 publishers, 4 in flight each", scenario: bench.History,
			args: []string{"--namespace", namespace, "--publishers", "16"}, figures: stored,
			servers: []server{auditOff, auditSQLite}, rows: []row{{auditOff.name, "", goals}, {auditSQLite.name, auditOff.name, goals}},
		}
	}
	// The same 64 in flight, each from another connection: a read and a write for each, at both ends.
	scattered := func(id, name, namespace string) group {
		return group{
			id: id, name: name + ", 64 of 1,000 publishers have one in flight", scenario: bench.History, args: []string{"--namespace", namespace}, figures: stored,
			servers: []server{auditOff}, rows: []row{{auditOff.name, "", nil}},
		}
	}
	return []group{
		fanout,
		{
			id: "fanout-30", name: "fan-out to 1,000 subscribers, 30 publications/s", scenario: bench.Fanout, args: []string{"--rate", "30"},
			figures: []figure{cpu, p50, p99}, servers: []server{auditOff, control},
			rows: []row{{auditOff.name, control.name, map[string]goal{cpu.name: {ratioAtMost: 1}}}},
		},
		{
			id: "channels-5000", name: "1,000 channels × 2 subscribers, 5,000 publications/s", scenario: bench.Channels, args: []string{"--rate", "5000"},
			figures: []figure{cpu, p50, p99}, servers: []server{auditOff, control, auditSQLite}, rows: both(map[string]goal{cpu.name: {ratioAtMost: 0.80}}),
		},
		{
			id: "channels", name: "1,000 channels × 2 subscribers, as fast as it goes", scenario: bench.Channels,
			figures: traffic, servers: []server{auditOff, control, hooked, auditSQLite},
			rows: append(both(map[string]goal{deliveries.name: {ratioAtLeast: 1.25}, cpu.name: {ratioAtMost: 0.75}}),
				row{hooked.name, auditOff.name, hookGoal(deliveries)}),
		},
		{
			id: "connect", name: "connect with a JWT, 5,000 clients, 64 at a time", scenario: bench.Connect,
			figures: []figure{connections, cpu, p50, p99}, servers: []server{tokens(auditOff), bare, tokens(auditSQLite)},
			rows: []row{
				{auditOff.name, bare.name, map[string]goal{connections.name: {ratioAtLeast: 0.75}, cpu.name: {atMost: 100}}},
				{auditSQLite.name, bare.name, map[string]goal{connections.name: {ratioAtLeast: 0.75}, cpu.name: {atMost: 100}}},
			},
		},
		{
			id: "idle", name: "10,000 idle connections, one subscription each", scenario: bench.Idle,
			figures: []figure{perConnection}, servers: []server{auditOff, control},
			rows: []row{{auditOff.name, control.name, map[string]goal{perConnection.name: {atMost: 8}}}},
		},
		history("history-memory", intoMemory, "history", 80_000, 15),
		scattered("history-memory-scattered", intoMemory, "history"),
		history("history-file", intoFiles, "durable", 45_000, 30),
		scattered("history-file-scattered", intoFiles, "durable"),
		{
			id: "history-20000", name: "publish into a history in files and deliver, 1,000 channels, 20,000/s", scenario: bench.Channels,
			args:    []string{"--namespace", "durable", "--subscribers", "1", "--publishers", "16", "--rate", "20000"},
			figures: traffic, servers: []server{auditOff}, rows: []row{{auditOff.name, "", map[string]goal{p99.name: {atMost: 10}}}},
		},
		{
			id: "echo", name: "echo, 100 connections, 1,000/s", scenario: bench.Echo,
			figures: []figure{trips, cpu, p50, p99}, servers: []server{auditOff, control, auditSQLite}, rows: both(map[string]goal{cpu.name: {ratioAtMost: 0.80}}),
		},
		{
			id: "recovery", name: "recovery storm: 1,000 clients, 50 missed publications each, history in files", scenario: bench.Recovery,
			args: []string{"--namespace", "durable"}, figures: []figure{seconds, p99, cpu}, servers: []server{auditSQLite},
			rows: []row{{auditSQLite.name, "", map[string]goal{seconds.name: {atMost: 3}}}},
		},
		{
			id: "presence", name: "presence of 1,000 members", scenario: bench.Presence,
			args: []string{"--namespace", "shown"}, figures: []figure{p50, p99}, servers: []server{auditSQLite},
			rows: []row{{auditSQLite.name, "", map[string]goal{p99.name: {atMost: 10}}}},
		},
		{
			id: "subscriptions", name: "100,000 subscriptions of 1,000 clients", scenario: bench.Subscriptions,
			figures: []figure{perSubscription}, servers: []server{auditOff},
			rows: []row{{auditOff.name, "", map[string]goal{perSubscription.name: {atMost: 150}}}},
		},
	}
}

// spread is the table of what worker processes cost: each case all in one, and with workers.
func spread() []group {
	deliveries, publications, answers := perSecond("deliveries"), perSecond("publications"), perSecond("answers")
	one := func(id, name string, s bench.Scenario, workers int, base server, figures []figure, args ...string) group {
		clustered := base
		clustered.name += ", workers: " + strconv.Itoa(workers)
		clustered.args = append(slices.Clone(base.args), "--agent.workers", strconv.Itoa(workers))
		return group{
			id: id, name: name, scenario: s, args: args, figures: figures,
			servers: []server{base, clustered}, rows: []row{{clustered.name, base.name, nil}},
		}
	}
	asked := one("presence-api-workers", "presence of 1,000 members, server API", bench.Presence, 4, auditSQLite, []figure{answers, cpu, p50, p99}, "--namespace", "shown")
	asked.byAPI = true
	storm := []figure{seconds, cpu, p50, p99}
	traffic := []figure{deliveries, cpu, p50, p99}
	memory := []figure{perSubscription}
	return []group{
		one("recovery-workers", "recovery storm", bench.Recovery, 4, auditSQLite, storm, "--namespace", "durable"),
		one("recovery-one-workers", "recovery storm, one channel", bench.Recovery, 4, auditSQLite, storm, "--namespace", "durable", "--channels", "1"),
		one("presence-workers", "presence of 1,000 members", bench.Presence, 4, auditSQLite, []figure{answers, cpu, p50, p99}, "--namespace", "shown"),
		asked,
		one("subscriptions-workers", "100,000 subscriptions", bench.Subscriptions, 1, auditOff, memory),
		one("subscriptions-file-workers", "100,000 subscriptions, history in files", bench.Subscriptions, 1, auditOff, memory, "--namespace", "durable"),
		one("fanout-workers", "fan-out to 1,000, as fast as it goes", bench.Fanout, 4, auditSQLite, traffic),
		one("fanout-30-workers", "fan-out to 1,000, 30 publications/s", bench.Fanout, 4, auditSQLite, traffic[1:], "--rate", "30"),
		one("fanout-file-workers", "fan-out to 1,000 from a history in files", bench.Fanout, 4, auditSQLite, traffic, "--namespace", "durable"),
		one("history-workers", "publish into a history in files", bench.History, 4, auditOff, []figure{publications, cpu, p50, p99}, "--namespace", "durable"),
		one("history-5000-workers", "publish into a history in files and deliver, 1,000 channels, 5,000/s", bench.Channels, 4, auditOff, traffic,
			"--subscribers", "1", "--namespace", "durable", "--rate", "5000"),
	}
}
