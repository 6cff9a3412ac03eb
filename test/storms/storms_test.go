// Package storms_test lets many clients come at once to the real program, and through TLS.
package storms_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/bench/launch"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// encrypted returns arguments of a server with TLS, and a client of it that resumes sessions.
func encrypted(t *testing.T) (args []string, certFile string, client *http.Client) {
	t.Helper()
	certFile, keyFile, trusted := testenv.Certificate(t)
	transport := &http.Transport{
		DisableKeepAlives: true, // A new connection for each request.
		TLSClientConfig:   &tls.Config{RootCAs: trusted, ClientSessionCache: tls.NewLRUClientSessionCache(8)},
	}
	return []string{"--client.tls.cert", certFile, "--client.tls.key", keyFile}, certFile, &http.Client{Transport: transport, Timeout: patience}
}

// visit gets a page, and says whether the TLS session for it was resumed.
func visit(client *http.Client, addr string) (resumed bool, err error) {
	answer, err := client.Get("https://" + addr + "/")
	if err != nil {
		return false, err
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return false, err
	}
	if answer.StatusCode != http.StatusOK {
		return false, errors.New(answer.Status)
	}
	return answer.TLS.DidResume, nil
}

// metric returns the samples of a metric, by the value of a label; "" where it has none.
func metric(t *testing.T, s *server.Server, name, label, selector string) map[string]float64 {
	t.Helper()
	answer, err := http.Get("http://" + s.APIAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, line := range regexp.MustCompile(`(?m)^`+name+`\{([^}]*)\} (\S+)$`).FindAllSubmatch(body, -1) {
		if !regexp.MustCompile(selector).Match(line[1]) {
			continue
		}
		key := ""
		if found := regexp.MustCompile(label + `="([^"]*)"`).FindSubmatch(line[1]); found != nil {
			key = string(found[1])
		}
		if values[key], err = strconv.ParseFloat(string(line[2]), 64); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// A client resumes its TLS session at whichever worker the kernel gives it to: all do from the second connection on, until both workers
// have had some.
func TestResumedAtAnotherWorker(t *testing.T) {
	t.Parallel()
	args, certFile, client := encrypted(t)
	s := server.Start(t, server.Options{Config: launch.Open, Args: append(args, "--agent.workers", "2")})
	if resumed, err := visit(client, s.Addr()); err != nil || resumed {
		t.Fatalf("the first connection: resumed %v, %v", resumed, err)
	}
	for deadline := time.Now().Add(patience); ; {
		var visiting sync.WaitGroup
		for range 32 { // At once, because one after the other is often always the same worker's.
			visiting.Go(func() {
				if resumed, err := visit(client, s.Addr()); err != nil || !resumed {
					t.Errorf("another connection: resumed %v, %v", resumed, err)
				}
			})
		}
		visiting.Wait()
		busy := 0
		for _, count := range metric(t, s, "zenconn_tls_handshakes_total", "worker", `result="resumed"`) {
			if count > 0 {
				busy++
			}
		}
		if busy == 2 || t.Failed() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("one worker gets no connections at all")
		}
	}

	if runtime.GOOS != "linux" {
		return // Elsewhere the system's own list is trusted, which a test cannot change.
	}
	cmd := exec.CommandContext(t.Context(), server.Binary(t), "bench", "echo", "--clients", "10", "--warmup", "0s", "--duration", "500ms",
		"--url", "wss://"+s.Addr()+"/connection/websocket")
	cmd.Env = append(cmd.Environ(), "SSL_CERT_FILE="+certFile)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("messages over TLS: %v\n%s", err, out)
	}
}

// Somebody who begins a handshake and says no more does not keep a connection.
func TestSlowHandshakesOfTLS(t *testing.T) {
	t.Parallel()
	args, _, _ := encrypted(t)
	s := server.Start(t, server.Options{Config: launch.Open, Args: append(args, "--client.handshake_timeout", "300ms")})
	for name, begin := range map[string]string{"nothing": "", "half a hello": "\x16\x03\x01\x02\x00\x01", "no TLS": "GET / HTTP/1.1\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it was not closed")
			}
		})
	}
}

// Of many that come at once those too many are told to come later, and then they are let in.
func TestSurplusComesLater(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: launch.Open, Args: []string{"--client.accept_rate", "0.5", "--client.accept_burst", "1"}})
	refused := 0
	for deadline := time.Now().Add(patience); ; {
		status, retry := knock(t, s.Addr())
		if status == http.StatusSwitchingProtocols && refused > 0 {
			break
		}
		if status == http.StatusServiceUnavailable {
			refused++
			if seconds, err := strconv.Atoi(retry); err != nil || seconds < 1 {
				t.Fatalf("Retry-After: %q", retry)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d were refused, and nobody let in after them", refused)
		}
		<-time.After(50 * time.Millisecond)
	}
	if counted := metric(t, s, "zenconn_connections_refused_total", "reason", "")["rate"]; counted != float64(refused) {
		t.Errorf("%d were refused, and %v counted", refused, counted)
	}
}

// knock asks for a WebSocket on a connection of its own.
func knock(t *testing.T, addr string) (status int, retryAfter string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /connection/websocket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", addr); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("Retry-After")
}
