// Package soak runs a server with all bundled plugins at full rate for minutes and looks whether anything grows. That is for before a
// release; unless it is told for how long, it is one brief round that shows that nothing fails:
//
//	go test -timeout 20m -v ./test/soak -soak 10m
package soak_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/test/server"
)

var duration = flag.Duration("soak", 0, "how long it is to run; memory is judged from two minutes on; 0: one brief round")

func TestMain(m *testing.M) { server.Main(m) }

const (
	secret = "a secret of thirty-two bytes, more"
	round  = 10 * time.Second // Then all clients leave, and others come.
	brief  = 2 * time.Second  // The only round, when it is not told how long to run.
	warmup = time.Minute      // Until caches are full, and the collector knows how much there is.
)

// settings has every bundled plugin, so that each publication goes through four of them and each connection through two. Nobody gives up
// because this machine stands still for a while.
const settings = `
auth: {type: hook}
audit: {store: none}
client: {handshake_timeout: 2m, connect_timeout: 2m, write_timeout: 2m, ping: {interval: 150s, timeout: 2m}, limits: {commands_per_second: 0}}
shutdown: {timeout: 1m}
namespaces: {default: {subscribe: granted, publish: granted}}
plugins:
  deadline: 1m
  load:
    - {name: rate-limit, allow: {kv: true}, config: {limits: [{on: publish, per: user, rate: 100000}, {on: connect, rate: 100000}, {on: subscribe, rate: 100000}]}}
    - name: jwt-claims
      allow: {jwt: true}
      keys: [{name: main, secret: "` + secret + `"}]
      config: {info: {name: sub}, subscribe: [{channels: ["own-{sub}"]}], grants: [{channels: ["bench*"], match: wildcard, allow: [pub]}]}
    - name: webhook-auth
      allow: {http: ["HOST"], kv: true}
      config: {url: "http://HOST/", subscribe: {cache: 5, deny_cache: 5}}
    - name: json-schema
      config: {rules: [{channel: "*", schema: {type: object, required: [b], properties: {b: {type: string, maxLength: 1000}}}}]}
    - {name: profanity, config: {words: [darn, heck]}}
    - name: welcome
`

// sample is what the server uses at a time.
type sample struct {
	resident  int64 // KiB.
	instances map[string]float64
}

func TestNothingGrows(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"result":{"info":{"seen":true}}}`) //nolint:errcheck // The server finds out.
	}))
	defer backend.Close()
	s := server.Start(t, server.Options{
		Config: strings.ReplaceAll(settings, "HOST", strings.TrimPrefix(backend.URL, "http://")),
		Env:    []string{"GOMAXPROCS=" + strconv.Itoa(runtime.GOMAXPROCS(0))}, // As judge expects.
	})
	defer s.Stop()

	loaded := make(chan error, 1)
	binary := server.Binary(t)
	go func() { loaded <- load(t, binary, s.Addr()) }()
	var samples []sample
	for began, tick := time.Now(), time.NewTicker(time.Second); ; {
		select {
		case err := <-loaded:
			if err != nil {
				t.Fatalf("%v\n%s", err, s.Log())
			}
			judge(t, append(samples, take(t, s)))
			return
		case <-tick.C:
			if *duration < 2*warmup || time.Since(began) > warmup {
				samples = append(samples, take(t, s))
			}
		}
	}
}

// load has clients come, publish as fast as the server answers, and leave: round after round for the duration, or one that is brief.
func load(t *testing.T, binary, addr string) error {
	length, end := round, time.Now().Add(*duration)
	if *duration == 0 {
		length = brief
	}
	for n := 1; n == 1 || time.Now().Before(end); n++ {
		cmd := exec.CommandContext(t.Context(), binary, "bench", "echo", "--clients", "50", "--rate", "0", "--duration", length.String(), //nolint:gosec // Our own.
			"--token-secret", secret, "--url", "ws://"+addr+"/connection/websocket")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("round %d: %w\n%s", n, err, out)
		}
		t.Logf("round %d: %s", n, bytes.Join(bytes.Fields(out), []byte(" ")))
	}
	return nil
}

var (
	gauge         = regexp.MustCompile(`(?m)^zenconn_plugin_instances\{plugin="([^"]+)"\} (\S+)$`)
	residentBytes = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)
)

func take(t *testing.T, s *server.Server) sample {
	t.Helper()
	got := sample{instances: map[string]float64{}}
	response, err := http.Get("http://" + s.APIAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It was read.
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range gauge.FindAllSubmatch(metrics, -1) {
		if got.instances[string(m[1])], err = strconv.ParseFloat(string(m[2]), 64); err != nil {
			t.Fatal(err)
		}
	}
	resident := residentBytes.FindSubmatch(metrics)
	if resident == nil {
		t.Fatal("the metrics do not say how much memory the process has")
	}
	bytes, err := strconv.ParseFloat(string(resident[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	got.resident = int64(bytes) >> 10
	return got
}

// judge looks at the instances, of which each plugin has one at the latest after a round, and in a long run at the memory: it compares
// the second half with the first, because what leaks grows with the messages, and there were as many of them.
func judge(t *testing.T, samples []sample) {
	t.Helper()
	most := float64(2 * runtime.GOMAXPROCS(0))
	for _, s := range samples {
		for plugin, n := range s.instances {
			if n > most {
				t.Errorf("%v instances of %s; there may be 1 to %v", n, plugin, most)
			}
		}
	}
	first, last := samples[0], samples[len(samples)-1]
	before, after := resident(samples[:len(samples)/2]), resident(samples[len(samples)/2:])
	t.Logf("resident memory: first half %d KiB, second half %d KiB, at the end %d KiB", before, after, last.resident)
	t.Logf("instances: first %v, at the end %v", first.instances, last.instances)
	if len(last.instances) != 6 {
		t.Errorf("instances of %v, want those of six plugins", last.instances)
	}
	for plugin, n := range last.instances {
		if n < 1 {
			t.Errorf("%s has no instance", plugin)
		}
	}
	if grown := after - before; *duration >= 2*warmup && grown > before/10 {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
}

// resident is the mean of the samples.
func resident(samples []sample) (mean int64) {
	for _, s := range samples {
		mean += s.resident / int64(len(samples))
	}
	return mean
}
