package clickhouse_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/internal/testenv"
)

// patience is how long a test waits for what must come. It is long: the server may be slow, and others may use it.
const patience = 5 * time.Minute

func TestMain(m *testing.M) { testenv.Main(m) }

// database makes an empty database of the test's own and returns its DSN.
func database(t testing.TB) *url.URL {
	t.Helper()
	return audittest.ClickHouse(t, testenv.ClickHouse(t))
}

func open(t testing.TB, dsn *url.URL, timeout time.Duration) *clickhouse.Store {
	t.Helper()
	s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// through returns the DSN of the same database by way of the proxy.
func through(dsn *url.URL, address string) *url.URL {
	c := *dsn
	c.Host = address
	return &c
}

func write(t testing.TB, s *clickhouse.Store, b *audit.Batch) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Write(ctx, b)
}

// batch has messages whose payload does not compress, so that a block is bigger than anything else that is sent.
func batch(token string, first, n int) *audit.Batch {
	b := &audit.Batch{Token: token, Messages: audittest.Messages(first, n)}
	for _, m := range b.Messages {
		noise := make([]byte, 256)
		rand.Read(noise)
		m.Payload = []byte(`"` + hex.EncodeToString(noise) + `"`)
	}
	return b
}

func count(t *testing.T, s *clickhouse.Store) string {
	t.Helper()
	return audittest.Ask(t, s, "SELECT count(*), count(DISTINCT id) FROM audit_messages")[0]
}

func TestConformance(t *testing.T) {
	audittest.Test(t, func(t *testing.T) audit.Sink { return open(t, database(t), 0) })
}

func TestColumnsOfClickHouseOnly(t *testing.T) {
	s := open(t, database(t), 0)
	if err := write(t, s, audittest.Story()); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"SELECT minute, channel, sum(messages), sum(bytes), sum(deliveries), uniqCombinedMerge(12)(users) FROM audit_messages_1m " +
			"WHERE channel = 'chat:tea' GROUP BY ALL": `["2026-11-21 10:00:00","chat:tea",1,17,10,1]`,
		"SELECT plugin, verdict, sum(n), max(latency_max) FROM audit_decisions_1m WHERE hook = 'publish' GROUP BY ALL":                                                      `["manners","reject",1,1500]`,
		"SELECT toDate('2026-01-02'), toDateTime('2026-01-02 03:04:05', 'UTC'), toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC')":                                       `["2026-01-02","2026-01-02 03:04:05","2026-01-02 03:04:05.678901"]`,
		"SELECT CAST(NULL, 'Nullable(UInt8)'), toNullable(7), toNullable('x'), [1, 2], ['a'], toDecimal64('1.50', 2), toUInt128('340282366920938463463374607431768211455')": `[null,7,"x",[1,2],["a"],"1.5","340282366920938463463374607431768211455"]`,
		"SELECT toIPv4('192.0.2.1'), map('k', [toUUID('0193a5b0-0000-7000-8000-000000000001')])":                                                                            `["192.0.2.1",{"k":["0193a5b0-0000-7000-8000-000000000001"]}]`,
	} {
		query, want = audittest.Dated(query), audittest.Dated(want)
		if got := audittest.Ask(t, s, query); !slices.Equal(got, []string{want}) {
			t.Errorf("%s\ngot  %q\nwant %q", query, got, want)
		}
	}
}

func TestServerThatComesLater(t *testing.T) {
	dsn := database(t)
	address := testenv.FreeAddr(t)
	s := open(t, through(dsn, address), 5*time.Second)
	r := audit.New(s, audit.Options{Node: "n", FlushInterval: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	stop := run(t, r)
	for _, m := range audittest.Messages(0, 100) {
		r.Record(m)
	}
	until(t, "the first attempt failed", func() bool { return r.Stats().LastError != nil })
	if text := r.Stats().LastError.Error(); !strings.Contains(text, address) {
		t.Errorf("the error does not say which server: %s", text)
	}
	if _, err := s.Query(t.Context(), "SELECT 1"); err == nil {
		t.Error("a query was answered without a server")
	}
	audittest.StartProxy(t, address, dsn.Host)
	until(t, "everything is stored", func() bool { return r.Stats().Stored == 100 })
	if got := count(t, s); got != "[100,100]" {
		t.Errorf("rows and identifiers: %s", got)
	}
	stop()
}

func TestLostAnswerDoublesNothing(t *testing.T) {
	dsn := database(t)
	p := audittest.StartProxy(t, "127.0.0.1:0", dsn.Host)
	s := open(t, through(dsn, p.Address()), 0)
	b := batch("node/1/1", 0, 1000)
	b.Decisions = audittest.Story().Decisions
	p.LoseAnswers(1)
	if err := write(t, s, b); err == nil || errors.Is(err, audit.ErrRefused) || p.AnswersLost() != 1 {
		t.Fatalf("Write with a lost answer: %v (%d lost)", err, p.AnswersLost())
	}
	if got := count(t, s); got != "[1000,1000]" {
		t.Fatalf("the server stored %s before its answer got lost", got)
	}
	if err := write(t, s, b); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM audit_messages":                                                            "[1000]",
		"SELECT sum(messages) FROM audit_messages_1m":                                                    "[1000]",
		"SELECT count(*), sum(n) FROM audit_decisions d, (SELECT sum(n) AS n FROM audit_decisions_1m) r": "[2,4]",
	} {
		if got := audittest.Ask(t, s, query)[0]; got != want {
			t.Errorf("after the second attempt, %s: %s, want %s", query, got, want)
		}
	}
	b.Token = "node/1/2" // Proves that the token did it.
	if err := write(t, s, b); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s); got != "[2000,1000]" {
		t.Errorf("under another token the rows are others, got %s", got)
	}
}

func TestBrokenNetworkLosesAndDoublesNothing(t *testing.T) {
	dsn := database(t)
	p := audittest.StartProxy(t, "127.0.0.1:0", dsn.Host)
	s := open(t, through(dsn, p.Address()), 10*time.Second)
	r := audit.New(s, audit.Options{Node: "n", BatchEvents: 500, FlushInterval: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	stop := run(t, r)
	const rounds, each = 10, 1000
	for i := range rounds {
		for _, m := range batch("", i*each, each).Messages {
			r.Record(m)
		}
		switch i % 3 {
		case 0:
			p.LoseAnswers(1)
		case 1:
			p.Cut()
		}
		until(t, "half the round is stored", func() bool { return r.Stats().Stored >= uint64(i*each+each/2) })
	}
	until(t, "everything is stored", func() bool { return r.Stats().Stored == rounds*each })
	stop()
	if got := count(t, s); got != "[10000,10000]" {
		t.Errorf("rows and identifiers: %s, want 10000 of both", got)
	}
	if got := audittest.Ask(t, s, "SELECT sum(messages) FROM audit_messages_1m")[0]; got != "[10000]" {
		t.Errorf("the rollup counts %s", got)
	}
	if p.AnswersLost() == 0 {
		t.Error("no answer was lost: the test proves nothing")
	}
}

func TestFrozenServerDoesNotHoldWrite(t *testing.T) {
	dsn := database(t)
	p := audittest.StartProxy(t, "127.0.0.1:0", dsn.Host)
	s := open(t, through(dsn, p.Address()), 2*time.Second)
	first := open(t, dsn, 0)
	if err := write(t, first, batch("a", 0, 1)); err != nil { // The tables are there.
		t.Fatal(err)
	}
	until(t, "the store is ready", func() bool { return write(t, s, batch("b", 1, 1)) == nil })
	p.Freeze(true)
	done := make(chan error, 1)
	go func() { done <- s.Write(t.Context(), batch("c", 2, 20_000)) }() // Within the store's own timeout.
	select {
	case err := <-done:
		if err == nil {
			t.Error("a frozen server stored a batch")
		}
	case <-time.After(patience):
		t.Fatal("Write hangs")
	}
	p.Freeze(false)
	p.Cut()
	until(t, "the store works again", func() bool { return write(t, s, batch("d", 2, 1)) == nil })
}

func TestNodesThatStartAtOnce(t *testing.T) {
	dsn := database(t)
	var nodes sync.WaitGroup
	for i := range 4 {
		s := open(t, dsn, 0)
		nodes.Go(func() {
			if err := write(t, s, batch(fmt.Sprint("node-", i), i*10, 10)); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	s := open(t, dsn, 0)
	if got := count(t, s); got != "[40,40]" {
		t.Errorf("stored %s", got)
	}
	if got := audittest.Ask(t, s, "SELECT max(version), count(*) FROM zenconn_migrations"); !slices.Equal(got, []string{"[4,4]"}) {
		t.Errorf("migrations %q", got)
	}
}

func TestNewerSchema(t *testing.T) {
	dsn := database(t)
	s := open(t, dsn, 0)
	audittest.Ask(t, s, "SELECT 1")
	if err := connection(t, dsn).Exec(t.Context(), "INSERT INTO zenconn_migrations (version, name) VALUES (99, 'future')"); err != nil {
		t.Fatal(err)
	}
	if err := write(t, open(t, dsn, 0), batch("a", 0, 1)); err == nil || !strings.Contains(err.Error(), "newer zenconn") {
		t.Errorf("Write to newer tables: %v", err)
	}
}

func TestReaderMakesNoTables(t *testing.T) {
	dsn := database(t)
	r, err := clickhouse.OpenReader(clickhouse.Options{DSN: dsn.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := audittest.Ask(t, r, "SELECT count() FROM system.tables WHERE database = currentDatabase()"); got[0] != "[0]" {
		t.Errorf("asking made %s tables", got)
	}
	if _, err := r.Query(t.Context(), "SELECT * FROM audit_messages"); err == nil || !strings.Contains(err.Error(), "audit_messages") {
		t.Errorf("Query without tables: %v", err)
	}
}

func TestDSNErrorsAreClearAndKeepThePassword(t *testing.T) {
	for _, dsn := range []string{
		"", "localhost:9000", "clickhouse://", "http://user:sEcret@host:8123/db", "clickhouse://user:sEc/ret@host:9000/db",
		"clickhouse://user:sEcret@host:port/db", "clickhouse://user:sEcret%zz@host:9000/db", "clickhouse://user:sEcret@host:9000/db?dial_timeout=soon",
	} {
		s, err := clickhouse.Open(clickhouse.Options{DSN: dsn})
		if err == nil {
			s.Close()
			t.Errorf("%q was accepted", dsn)
			continue
		}
		if text := err.Error(); strings.Contains(text, "sEc") || !strings.Contains(text, "clickhouse://user:password@host:9000/database") {
			t.Errorf("%q: %s", dsn, text)
		}
	}
}

// run starts the recorder and returns a function that ends it.
func run(t *testing.T, r *audit.Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline, again := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// BenchmarkWrite writes the batches of a busy server; rows/s is what counts.
func BenchmarkWrite(b *testing.B) {
	s := open(b, database(b), 0)
	if err := write(b, s, &audit.Batch{Token: "first", Messages: audittest.Messages(0, 1)}); err != nil { // Makes the tables.
		b.Fatal(err)
	}
	const size = 10_000
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		b.StopTimer()
		batch := &audit.Batch{Token: fmt.Sprint(rows), Messages: audittest.Messages(rows, size)}
		b.StartTimer()
		if err := write(b, s, batch); err != nil {
			b.Fatal(err)
		}
		rows += size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
