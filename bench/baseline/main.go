// Command baseline is the control beside which the server is measured: a bare broadcast server on gws, which answers just enough of
// the client protocol (JSON; connect, subscribe, publish, the offset of a history) for the same load generator, with the same
// verification, to run against it. It has no limits, no queues of its own, no names and no record.
//
//	go run ./bench/baseline -addr 127.0.0.1:8100
//	zenconn bench fanout --url ws://127.0.0.1:8100/
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8100", "address to listen on")
	flag.Parse()
	log.Printf("process %d listens on ws://%s/", os.Getpid(), *addr)
	server := &http.Server{Addr: *addr, Handler: newBroadcaster(), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// broadcaster is the server: topics and who is subscribed to them.
type broadcaster struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader

	mu     sync.RWMutex
	topics map[string]*topic
}

type topic struct {
	mu        sync.RWMutex
	published uint64
	members   map[*gws.Conn]struct{}
}

func newBroadcaster() *broadcaster {
	b := &broadcaster{topics: map[string]*topic{}}
	b.upgrader = gws.NewUpgrader(b, &gws.ServerOption{SubProtocols: []string{"centrifuge-json"}, ReadBufferSize: 1024})
	return b
}

func (b *broadcaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := b.upgrader.Upgrade(w, r)
	if err != nil {
		return // gws has answered.
	}
	go conn.ReadLoop()
}

// topic returns the topic of a name, new or not.
func (b *broadcaster) topic(name string) *topic {
	b.mu.RLock()
	t := b.topics[name]
	b.mu.RUnlock()
	if t != nil {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t = b.topics[name]; t == nil {
		t = &topic{members: map[*gws.Conn]struct{}{}}
		b.topics[name] = t
	}
	return t
}

// command is what of the protocol's commands the control understands.
type command struct {
	ID        uint32
	Connect   *struct{}
	Subscribe *struct{ Channel string }
	History   *struct{ Channel string }
	Publish   *struct {
		Channel string
		Data    json.RawMessage
	}
}

// OnMessage answers the commands of a frame. An answer that cannot be written means that the connection has ended.
func (b *broadcaster) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close() //nolint:errcheck // It gives a buffer back.
	for line := range bytes.Lines(m.Bytes()) {
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			conn.WriteClose(3501, []byte("bad request")) //nolint:errcheck // See above.
			return
		}
		answer := func(result string) {
			conn.WriteString(fmt.Sprintf(`{"id":%d,%s}`, c.ID, result)) //nolint:errcheck // See above.
		}
		switch {
		case c.Connect != nil:
			answer(`"connect":{"client":"-","version":"baseline"}`)
		case c.Subscribe != nil:
			b.topic(c.Subscribe.Channel).join(conn)
			conn.Session().Store(c.Subscribe.Channel, nil)
			answer(`"subscribe":{}`)
		case c.Publish != nil:
			answer(`"publish":{}`)
			b.topic(c.Publish.Channel).publish(c.Publish.Channel, c.Publish.Data)
		case c.History != nil:
			answer(fmt.Sprintf(`"history":{"offset":%d}`, b.topic(c.History.Channel).count()))
		}
	}
}

// OnClose takes the connection out of its topics.
func (b *broadcaster) OnClose(conn *gws.Conn, _ error) {
	conn.Session().Range(func(name string, _ any) bool {
		t := b.topic(name)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.members, conn)
		return true
	})
}

func (t *topic) join(conn *gws.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members[conn] = struct{}{}
}

func (t *topic) count() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.published
}

// publish sends one shared frame to all members, in the order of publications: the lock is held meanwhile.
func (t *topic) publish(name string, data []byte) {
	frame := fmt.Appendf(nil, `{"push":{"channel":%q,"pub":{"data":%s}}}`, name, data)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published++
	if len(t.members) == 0 {
		return
	}
	shared := gws.NewBroadcaster(gws.OpcodeText, frame)
	defer shared.Close() //nolint:errcheck // It gives a buffer back.
	for conn := range t.members {
		shared.Broadcast(conn) //nolint:errcheck // See OnMessage.
	}
}
