package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"
)

// The pace of reconnecting, as that of the public SDKs, only quicker.
const (
	retryFirst   = 50 * time.Millisecond
	retryMost    = 2 * time.Second
	answerWithin = time.Minute // A command's answer, and the handshake's.
)

// client is one connection at a time to the server, which comes back when it breaks, and at most one subscription that recovers.
type client struct {
	gws.BuiltinEventHandler

	urls    []string // Beginning with its own; the others are tried when that does not answer.
	user    string
	token   string                 // Instead of the user; empty: none.
	channel string                 // Subscribed to; empty: none.
	heard   func(pub *publication) // Called on the reading goroutine, in order.
	failed  func(error)            // What must never happen has happened.

	breaks     atomic.Int64 // Times the connection ended without having been closed by us.
	recoveries atomic.Int64
	up         atomic.Bool // Connected and subscribed.

	mu      sync.Mutex // Guards all below.
	conn    *gws.Conn
	closed  bool
	id      uint32
	pending map[uint32]chan *reply
	offset  uint64
	epoch   string
	placed  bool // offset and epoch are known.
	lost    chan struct{}
	visits  []Visit
}

// Visit is one connection of a client to the server, from the answer to its connect command on.
type Visit struct {
	Session      string // As the server calls it.
	Began, Ended time.Time
}

type publication struct {
	Offset uint64          `json:"offset"`
	Data   json.RawMessage `json:"data"`

	recovered bool // It came with the answer to the subscription.
}

// refusal is an error that the server answers.
type refusal struct {
	Code      uint32 `json:"code"`
	Message   string `json:"message"`
	Temporary bool   `json:"temporary"`
}

func (r *refusal) Error() string { return fmt.Sprintf("error %d: %s", r.Code, r.Message) }

type reply struct {
	ID      uint32   `json:"id"`
	Error   *refusal `json:"error"`
	Connect *struct {
		Client string `json:"client"`
	} `json:"connect"`
	Subscribe *struct {
		Recovered     bool           `json:"recovered"`
		WasRecovering bool           `json:"was_recovering"`
		Offset        uint64         `json:"offset"`
		Epoch         string         `json:"epoch"`
		Publications  []*publication `json:"publications"`
	} `json:"subscribe"`
	Push *struct {
		Channel     string       `json:"channel"`
		Pub         *publication `json:"pub"`
		Unsubscribe *struct {
			Code uint32 `json:"code"`
		} `json:"unsubscribe"`
	} `json:"push"`
}

var errGone = errors.New("the connection ended")

// run keeps the client connected until it is closed.
func (c *client) run() {
	pause := retryFirst
	for attempt := 0; ; attempt++ {
		lost, err := c.connect(c.urls[attempt%len(c.urls)])
		if err == nil {
			pause, attempt = retryFirst, -1
			<-lost
			c.up.Store(false)
		}
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		if err == nil {
			c.breaks.Add(1)
		}
		<-time.After(rand.N(pause) + pause/2)
		pause = min(2*pause, retryMost)
	}
}

// connect makes one connection, says who it is and subscribes.
func (c *client) connect(url string) (lost chan struct{}, err error) {
	conn, _, err := gws.NewClient(c, &gws.ClientOption{ //nolint:bodyclose // The response of an upgrade has no body.
		Addr: url, HandshakeTimeout: answerWithin, RequestHeader: http.Header{"Sec-WebSocket-Protocol": {"centrifuge-json"}},
	})
	if err != nil {
		return nil, err
	}
	lost = make(chan struct{})
	c.mu.Lock()
	c.conn, c.lost, c.pending = conn, lost, map[uint32]chan *reply{}
	if c.closed {
		conn.NetConn().Close()
	}
	c.mu.Unlock()
	go conn.ReadLoop()
	if err := c.begin(); err != nil {
		conn.NetConn().Close()
		<-lost
		return nil, err
	}
	c.up.Store(true)
	return lost, nil
}

func (c *client) begin() error {
	request := map[string]any{"data": map[string]any{"user": c.user}}
	if c.token != "" {
		request["token"] = c.token
	}
	welcome, err := c.ask(map[string]any{"connect": request})
	if err != nil {
		return err
	}
	c.mu.Lock()
	visit := Visit{Session: welcome.Connect.Client, Began: time.Now()}
	if c.conn == nil {
		visit.Ended = visit.Began
	}
	c.visits = append(c.visits, visit)
	c.mu.Unlock()
	if c.channel == "" {
		return nil
	}
	return c.subscribe()
}

func (c *client) subscribe() error {
	c.mu.Lock()
	request := map[string]any{"channel": c.channel}
	if c.placed {
		request["recover"], request["offset"], request["epoch"] = true, c.offset, c.epoch
	}
	c.mu.Unlock()
	_, err := c.ask(map[string]any{"subscribe": request})
	return err
}

// again subscribes after the server has ended the subscription, from the position. As the SDKs do, it tries again while the server
// says that it cannot for now, and the connection lasts.
func (c *client) again(conn *gws.Conn) {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := c.subscribe()
		c.mu.Lock()
		lasts := c.conn == conn
		if err == nil && lasts {
			c.up.Store(true)
		}
		c.mu.Unlock()
		if err == nil || !lasts {
			return
		}
		if refused, ok := errors.AsType[*refusal](err); !ok || !refused.Temporary {
			conn.NetConn().Close()
			return
		}
		<-time.After(rand.N(pause) + pause/2)
	}
}

// ask sends a command and waits for its reply.
func (c *client) ask(command map[string]any) (*reply, error) {
	c.mu.Lock()
	if c.conn == nil {
		c.mu.Unlock()
		return nil, errGone
	}
	c.id++
	id, answer, lost, conn := c.id, make(chan *reply, 1), c.lost, c.conn
	c.pending[id] = answer
	c.mu.Unlock()
	command["id"] = id
	text, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteMessage(gws.OpcodeText, text); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			return nil, r.Error
		}
		return r, nil
	case <-lost:
		return nil, errGone
	case <-time.After(answerWithin):
		conn.NetConn().Close()
		return nil, errors.New("no answer")
	}
}

// publish returns nil when the server has acknowledged the publication; after an error nobody knows what became of it.
func (c *client) publish(channel string, data any) error {
	_, err := c.ask(map[string]any{"publish": map[string]any{"channel": channel, "data": data}})
	return err
}

// OnMessage implements gws.Event.
func (c *client) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close() //nolint:errcheck // It only gives a buffer back.
	decoder := json.NewDecoder(m)
	for decoder.More() {
		var r reply
		if err := decoder.Decode(&r); err != nil {
			c.failed(fmt.Errorf("the server speaks nonsense: %w", err))
			return
		}
		switch {
		case r.Subscribe != nil:
			c.subscribed(&r)
			c.settle(&r)
		case r.ID != 0:
			c.settle(&r)
		case r.Push == nil:
			_ = conn.WriteMessage(gws.OpcodeText, []byte("{}")) // The answer to a ping.
		case r.Push.Unsubscribe != nil && r.Push.Unsubscribe.Code >= 2500:
			c.up.Store(false)
			go c.again(conn)
		case r.Push.Pub != nil:
			c.take(r.Push.Pub)
		}
	}
}

func (c *client) settle(r *reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.pending[r.ID]; answer != nil {
		delete(c.pending, r.ID)
		answer <- r
	}
}

// subscribed takes what a subscription's reply tells.
func (c *client) subscribed(r *reply) {
	s := r.Subscribe
	if s.WasRecovering {
		c.recoveries.Add(1)
		if !s.Recovered {
			c.failed(fmt.Errorf("%s was not recovered: had %d in %q, is at %d in %q", c.channel, c.offset, c.epoch, s.Offset, s.Epoch))
		}
	}
	if !s.WasRecovering {
		c.mu.Lock()
		c.offset, c.epoch, c.placed = s.Offset, s.Epoch, true
		c.mu.Unlock()
	}
	for _, pub := range s.Publications {
		pub.recovered = true
		c.take(pub)
	}
	if c.offset != s.Offset {
		c.failed(fmt.Errorf("%s: the reply says offset %d, what came with it ends at %d", c.channel, s.Offset, c.offset))
	}
}

// take checks the place of a publication and hands it on.
func (c *client) take(pub *publication) {
	c.mu.Lock()
	want, counted := c.offset+1, c.epoch != "" // Without a history there are no offsets.
	c.offset = pub.Offset
	c.mu.Unlock()
	if counted && pub.Offset != want {
		c.failed(fmt.Errorf("%s: offset %d came where %d was due", c.channel, pub.Offset, want))
	}
	c.heard(pub)
}

// OnClose implements gws.Event.
func (c *client) OnClose(*gws.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
	if n := len(c.visits); n > 0 && c.visits[n-1].Ended.IsZero() {
		c.visits[n-1].Ended = time.Now()
	}
	close(c.lost)
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		c.conn.NetConn().Close()
	}
}
