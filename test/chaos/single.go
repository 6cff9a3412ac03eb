package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// Who says who a client is and what it listens to.
type Who struct {
	URL     string
	User    string
	Token   string // Instead of the user; empty: none.
	Channel string // Subscribed to; empty: none.
}

// Client is one client of its own, for tests that look at single publications. It comes back as those of a Fleet do.
type Client struct {
	*client
	t testing.TB

	mu   sync.Mutex
	came []json.RawMessage
}

func single(t testing.TB, who Who) *Client {
	c := &Client{t: t, client: &client{urls: []string{who.URL}, user: who.User, token: who.Token, channel: who.Channel}}
	c.heard = func(pub *publication) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.came = append(c.came, pub.Data)
	}
	c.failed = func(err error) { t.Errorf("%s: %v", who.User, err) }
	return c
}

// Join connects a client, which goes when the test ends, and returns when it has subscribed.
func Join(t testing.TB, who Who) *Client {
	t.Helper()
	return JoinAll(t, who)[0]
}

// JoinAll connects clients, all at once.
func JoinAll(t testing.TB, who ...Who) (all []*Client) {
	t.Helper()
	for _, one := range who {
		c := single(t, one)
		var running sync.WaitGroup
		running.Go(c.run)
		t.Cleanup(func() {
			c.close()
			running.Wait()
		})
		all = append(all, c)
	}
	for _, c := range all {
		Await(t, Patience, fmt.Sprintf("%s is in %q", c.user, c.channel), func() string {
			if !c.up.Load() {
				return "it is not"
			}
			return ""
		})
	}
	return all
}

// Try connects and subscribes once, goes again, and returns what was refused.
func Try(t testing.TB, who Who) error {
	c := single(t, who)
	lost, err := c.connect(who.URL)
	if err == nil {
		c.close()
		<-lost
	}
	return err
}

// Publish returns nil when the server has acknowledged the publication.
func (c *Client) Publish(channel string, data any) error { return c.publish(channel, data) }

// Breaks returns how often its connection has ended.
func (c *Client) Breaks() int64 { return c.breaks.Load() }

// Heard returns the data of all that has come so far, in order.
func (c *Client) Heard() []json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.came)
}

// AwaitOnce returns when exactly these texts, each once and in this order, are all that has come.
func (c *Client) AwaitOnce(texts ...string) {
	c.t.Helper()
	want := fmt.Sprintf("%q", texts)
	Await(c.t, Patience, c.user+" has heard "+want, func() string {
		var got []string
		for _, data := range c.Heard() {
			var text string
			if err := json.Unmarshal(data, &text); err != nil {
				c.t.Fatalf("%s got %s", c.user, data)
			}
			got = append(got, text)
		}
		if heard := fmt.Sprintf("%q", got); heard != want {
			return "it has " + heard
		}
		return ""
	})
}
