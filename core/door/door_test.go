package door_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core/door"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// house is a door, with all who were let in.
type house struct {
	addr    string
	guests  chan net.Conn
	mu      sync.Mutex
	refused map[string]int
}

func (h *house) turnedAway(reason string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused[reason]
}

// open opens a door that lets in what the options say.
func open(t *testing.T, o door.Options) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{addr: l.Addr().String(), guests: make(chan net.Conn, 1000), refused: map[string]int{}}
	o.Refused = func(reason string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.refused[reason]++
	}
	d := door.New(l, o)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := d.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			h.guests <- conn
		}
	})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		accepting.Wait()
		close(h.guests)
		for conn := range h.guests {
			conn.Close()
		}
	})
	return h
}

// knock connects and returns the answer when it is refused, or nil when it is let in: then the door says nothing.
func (h *house) knock(t *testing.T) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	heard := make(chan *http.Response, 1)
	go func() {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			heard <- nil
			return
		}
		heard <- answer
	}()
	select {
	case answer := <-heard:
		if answer == nil {
			t.Fatal("it was closed without an answer")
		}
		return answer
	case <-h.guests:
		conn.Close()
		<-heard
		return nil
	case <-time.After(patience):
		t.Fatal("neither let in nor refused")
		return nil
	}
}

func TestRate(t *testing.T) {
	// A rate of one in a day, so that nothing depends on how fast this is.
	h := open(t, door.Options{Rate: 1.0 / 86400, Burst: 3})
	for range 3 {
		if answer := h.knock(t); answer != nil {
			t.Fatalf("one of the first three was refused: %s", answer.Status)
		}
	}
	for n := range 20 {
		answer := h.knock(t)
		if answer == nil {
			t.Fatal("one too many was let in")
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || len(body) == 0 || !answer.Close {
			t.Errorf("%s %q, %v", answer.Status, body, err)
		}
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 2 || seconds > 15 {
			t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
		}
		if h.turnedAway(door.ReasonRate) != n+1 {
			t.Errorf("%d were counted, not %d", h.turnedAway(door.ReasonRate), n+1)
		}
	}
}

func TestLaterOnesAreLetIn(t *testing.T) {
	h := open(t, door.Options{Rate: 1, Burst: 1})
	refused := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if h.knock(t) != nil {
			refused++
		} else if refused > 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("%d were refused, and nobody let in after them", refused)
}

func TestFull(t *testing.T) {
	var full atomic.Bool
	h := open(t, door.Options{Full: full.Load})
	if answer := h.knock(t); answer != nil {
		t.Errorf("there is room, but: %s", answer.Status)
	}
	full.Store(true)
	if answer := h.knock(t); answer == nil || answer.StatusCode != http.StatusServiceUnavailable || h.turnedAway(door.ReasonFull) != 1 {
		t.Errorf("it is full: %v", answer)
	}
	full.Store(false)
	if answer := h.knock(t); answer != nil {
		t.Errorf("there is room again, but: %s", answer.Status)
	}
}

// One address that comes too often does not keep others out.
func TestAddresses(t *testing.T) {
	h := open(t, door.Options{PerAddress: 1.0 / 86400, Rate: 1000})
	if answer := h.knock(t); answer != nil {
		t.Fatalf("the first: %s", answer.Status)
	}
	if answer := h.knock(t); answer == nil || h.turnedAway(door.ReasonAddress) != 1 {
		t.Errorf("the second of the same address: %v", answer)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := other.Dial("tcp", h.addr)
	if err != nil {
		testenv.Skip(t, "no second loopback address such as 127.0.0.2: "+err.Error())
	}
	defer conn.Close()
	select {
	case <-h.guests:
	case <-time.After(patience):
		t.Error("another address was not let in")
	}
}

// More than can be told why are closed all the same, and Close does not wait for those who stay.
func TestRefusedOnesDoNotPileUp(t *testing.T) {
	h := open(t, door.Options{Full: func() bool { return true }})
	for range 400 {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	for deadline := time.Now().Add(patience); h.turnedAway(door.ReasonFull) < 400; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 400 were refused", h.turnedAway(door.ReasonFull))
		}
	}
}
