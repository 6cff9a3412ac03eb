package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/session"
)

func three(t *testing.T) (a, b, c *node) {
	all := startAll(t, setup{name: "a"}, setup{name: "b"}, setup{name: "c"})
	return all[0], all[1], all[2]
}

func TestLooksShowAllNodes(t *testing.T) {
	a, b, c := three(t)
	b.connect("alice", "room", "x1")
	c.connect("alice", "room")
	c.connect("bob", "room", "x2")
	anonymous := b.connect("", "room")
	ctx := patient(t)
	for _, asked := range []*node{a, b, c} {
		calls := asked.calls
		var members map[string]core.ClientInfo
		var stats presence.Stats
		var channels map[string]int
		var online map[string]int
		var users []session.UserInfo
		var sessions []session.Info
		var err error
		asked.asked("presence", func() { members, err = calls.Presence(ctx, "room") })
		if err != nil || len(members) != 4 || members[anonymous.id].Client != anonymous.id {
			t.Errorf("%s: presence %v, %v", asked.name, members, err)
		}
		asked.asked("presence_stats", func() { stats, err = calls.PresenceStats(ctx, "room") })
		if err != nil || stats != (presence.Stats{Clients: 4, Users: 3}) {
			t.Errorf("%s: stats %+v, %v", asked.name, stats, err)
		}
		asked.asked("channels", func() { channels, err = calls.Channels(ctx, "x*") })
		if err != nil || !maps.Equal(channels, map[string]int{"x1": 1, "x2": 1}) {
			t.Errorf("%s: channels %v, %v", asked.name, channels, err)
		}
		asked.asked("channels", func() { channels, err = calls.Channels(ctx, "") })
		if err != nil || channels["room"] != 4 {
			t.Errorf("%s: channels %v, %v", asked.name, channels, err)
		}
		asked.asked("online", func() { online, err = calls.Online(ctx, []string{"alice", "bob", "carol"}) })
		if err != nil || !maps.Equal(online, map[string]int{"alice": 2, "bob": 1, "carol": 0}) {
			t.Errorf("%s: online %v, %v", asked.name, online, err)
		}
		asked.asked("users", func() { users, err = calls.Users(ctx, session.Page{Limit: 10}) })
		if err != nil || len(users) != 2 || users[0].User != "alice" || users[0].Sessions != 2 || users[0].Subscriptions != 3 || users[1].User != "bob" {
			t.Errorf("%s: users %+v, %v", asked.name, users, err)
		}
		asked.asked("users", func() { users, err = calls.Users(ctx, session.Page{Limit: 1, After: "alice"}) })
		if err != nil || len(users) != 1 || users[0].User != "bob" {
			t.Errorf("%s: the second page is %+v, %v", asked.name, users, err)
		}
		for filter, want := range map[session.Filter]int{
			{}: 4, {User: "alice"}: 2, {Channel: "x1"}: 1, {Node: "c"}: 2, {Node: "c", User: "alice"}: 1, {Node: "d"}: 0, {Transport: "test"}: 4, {Transport: "tcp"}: 0,
		} {
			asked.asked("sessions", func() { sessions, err = calls.Sessions(ctx, filter, session.Page{Limit: 10}) })
			if err != nil || len(sessions) != want || !slices.IsSortedFunc(sessions, func(a, b session.Info) int { return strings.Compare(a.ID, b.ID) }) {
				t.Errorf("%s: %+v finds %d sessions, %v, want %d", asked.name, filter, len(sessions), err, want)
			}
		}
	}
	eventually(t, "hellos tell the numbers", func() bool {
		nodes, err := a.calls.Nodes(ctx)
		return err == nil && len(nodes) == 3 && nodes[0].Name == "a" && nodes[0].Kind == "agent" && nodes[1].Sessions == 2 && nodes[2].Users == 2 &&
			nodes[2].State == "ready" && nodes[2].UID == c.uid && nodes[2].Memory > 1<<20 && nodes[2].MessagesIn > 0
	})
}

// What clients are shown is the same as what the server API shows.
func TestClientsSeeThePresenceOfAllNodes(t *testing.T) {
	_, b, c := three(t)
	asking := b.connect("alice", "room")
	c.connect("bob", "room")
	id := 8
	for call, want := range map[string]string{"presence": `"user":"bob"`, "presence_stats": `"num_clients":2,"num_users":2`} {
		var answer string
		b.asked(call, func() {
			id++
			asking.say(`{"id":%d,%q:{"channel":"room"}}`, id, call)
			begin := fmt.Sprintf(`{"id":%d,`, id)
			asking.expect(t, begin)
			_, answer, _ = strings.Cut(asking.String(), begin)
		})
		if !strings.Contains(answer, want) {
			t.Errorf("%s: %s", call, answer)
		}
	}
}

func TestActsReachAllNodes(t *testing.T) {
	a, b, c := three(t)
	ctx := patient(t)
	clients := func(want int) {
		t.Helper()
		var stats presence.Stats
		var err error
		a.asked("presence_stats", func() { stats, err = a.calls.PresenceStats(ctx, "room") })
		if err != nil || stats.Clients != want {
			t.Errorf("%+v, %v", stats, err)
		}
	}
	one, two, other := b.connect("alice"), c.connect("alice"), c.connect("bob")
	alice := session.Target{User: "alice"}
	if err := a.calls.Subscribe(ctx, alice, "room", session.Subscription{SubscribeOptions: core.SubscribeOptions{Data: []byte(`{"a":1}`)}}); err != nil {
		t.Error(err)
	}
	clients(2)
	if n, err := a.calls.Send(ctx, alice, []byte(`{"hello":1}`)); err != nil || n != 2 {
		t.Errorf("sent to %d, %v", n, err)
	}
	for _, who := range []*client{one, two} {
		who.expect(t, `{"hello":1}`)
		who.expect(t, `"data":{"a":1}`)
	}
	if n, err := c.calls.Send(ctx, session.Target{Client: one.id}, []byte(`{"you":1}`)); err != nil || n != 1 {
		t.Errorf("sent to %d, %v", n, err)
	}
	one.expect(t, `{"you":1}`)
	if err := a.calls.Refresh(ctx, alice, time.Now().Add(time.Hour).Unix()); err != nil {
		t.Error(err)
	}
	var infos []session.Info
	var err error
	a.asked("sessions", func() { infos, err = a.calls.Sessions(ctx, session.Filter{User: "alice"}, session.Page{Limit: 5}) })
	if err != nil || len(infos) != 2 || infos[0].ExpireAt == 0 || infos[1].ExpireAt == 0 {
		t.Errorf("%+v, %v", infos, err)
	}
	if err := b.calls.Unsubscribe(ctx, alice, "room"); err != nil {
		t.Error(err)
	}
	clients(0)
	alice.Except = []string{two.id}
	if err := a.calls.Disconnect(ctx, alice, core.Disconnect{Code: 4100, Reason: "enough"}); err != nil {
		t.Error(err)
	}
	if one.code() != 4100 || two.code() != 0 || other.code() != 0 || strings.Contains(other.String(), "hello") {
		t.Errorf("closed with %d, %d, %d", one.code(), two.code(), other.code())
	}
	if _, err := a.calls.Call(ctx, "nothing", nil); !errors.Is(err, core.ErrMethodNotFound) {
		t.Error(err)
	}
}

// What a node refuses comes back with its code and its sentence.
func TestErrorsTravel(t *testing.T) {
	all := startAll(t, setup{name: "a"}, setup{name: "b", mute: true}, setup{name: "c"})
	a, b := all[0], all[1]
	b.connect("alice")
	ctx := patient(t)
	err := a.calls.Subscribe(ctx, session.Target{User: "alice"}, "room", session.Subscription{})
	if refused, ok := errors.AsType[*core.Error](err); !ok || refused.Code != core.ErrLimitExceeded.Code || !strings.HasSuffix(refused.Message, "too many channels") {
		t.Errorf("%v", err)
	}
	if err := a.calls.Disconnect(ctx, session.Target{}, core.DisconnectExpired); !errors.Is(err, core.ErrBadRequest) {
		t.Error(err)
	}
	if err := a.calls.Unsubscribe(ctx, session.Target{User: "alice"}, "no:such"); !errors.Is(err, core.ErrUnknownChannel) {
		t.Error(err)
	}
	if _, err := a.calls.Presence(ctx, "no:such"); !errors.Is(err, core.ErrUnknownChannel) {
		t.Error(err)
	}
	if _, err := a.calls.Channels(ctx, strings.Repeat("x", 300)); !errors.Is(err, core.ErrBadRequest) {
		t.Error(err)
	}
}

func TestBigAnswers(t *testing.T) {
	a, b, c := three(t)
	const each = 3000 // So many that every answer comes in parts.
	for i := range each {
		t.Cleanup(b.dial(fmt.Sprintf("user %05d", i), "room").end)
		t.Cleanup(c.dial(fmt.Sprintf("user %05d", i+each/2), "room").end)
	}
	// Who does not answer within two seconds is left out, and on a busy machine so much may take longer.
	complete := func(what string, look func() (got string, ok bool)) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			got, ok := look()
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s", what, got)
			}
		}
	}
	complete("sessions, page by page", func() (string, bool) {
		ids := make(map[string]bool)
		for after := ""; ; {
			page, err := a.calls.Sessions(t.Context(), session.Filter{}, session.Page{After: after, Limit: 4000})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page {
				if ids[s.ID] {
					t.Fatalf("%s comes twice", s.ID)
				}
				ids[s.ID], after = true, s.ID
			}
			if len(page) < 4000 {
				return fmt.Sprint(len(ids)), len(ids) == 2*each
			}
		}
	})
	complete("presence", func() (string, bool) {
		members, err := a.calls.Presence(t.Context(), "room")
		return fmt.Sprintf("%d members, %v", len(members), err), err == nil && len(members) == 2*each
	})
	complete("presence stats", func() (string, bool) {
		stats, err := a.calls.PresenceStats(t.Context(), "room")
		return fmt.Sprintf("%+v, %v", stats, err), err == nil && stats == (presence.Stats{Clients: 2 * each, Users: each + each/2})
	})
	complete("users", func() (string, bool) {
		users, err := a.calls.Users(t.Context(), session.Page{Limit: 10_000})
		return fmt.Sprintf("%d users, %v", len(users), err), err == nil && len(users) == each+each/2 && users[each/2].Sessions == 2
	})
}

// One key, asked of two agents at the same time, publishes once, with history and without.
func TestIdempotencyKeysOfSeveralAgents(t *testing.T) {
	all := startAll(t, setup{name: "a"}, setup{name: "b", kind: cluster.Agent}, setup{name: "c"})
	published := func(namespace string) (n float64) {
		for _, one := range all {
			n += testutil.ToFloat64(one.metrics.Publications.WithLabelValues(namespace))
		}
		return n
	}
	ctx := patient(t)
	publish := func(n *node, channel, key string) (core.Position, error) {
		return n.calls.Publish(ctx, session.Outgoing{Channel: channel, Data: []byte(`{"n":1}`), Tags: map[string]string{"a": "b"}, IdempotencyKey: key})
	}
	for _, namespace := range []string{"default", "kept"} {
		channel := map[string]string{"default": "news", "kept": "kept:news"}[namespace]
		const keys = 20
		for key := range keys {
			var wg sync.WaitGroup
			positions := make([]core.Position, 4)
			for i := range positions {
				wg.Go(func() {
					var err error
					if positions[i], err = publish(all[i%2], channel, fmt.Sprint(key)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, at := range positions {
				if at != positions[0] || (at == core.Position{}) != (namespace == "default") {
					t.Errorf("%s: key %d is at %v", namespace, key, positions)
				}
			}
		}
		if n := published(namespace); n != keys {
			t.Errorf("%s: published %v times, want %d", namespace, n, keys)
		}
	}
	if _, err := publish(all[0], "no:such", "x"); !errors.Is(err, core.ErrUnknownChannel) {
		t.Error(err)
	}
	all[1].kill() // Its keys move to the other one.
	for key := range 10 {
		if _, err := publish(all[0], "news", fmt.Sprint("later", key)); err != nil {
			t.Error(err)
		}
	}
}

func TestSessionsOfUserOnAllNodes(t *testing.T) {
	all := startAll(t, setup{name: "a", perUser: 2}, setup{name: "b", perUser: 2}, setup{name: "c", perUser: 2})
	first := all[0].connect("alice")
	all[1].connect("alice")
	all[2].refuses("alice")
	all[2].connect("bob")
	all[2].connect("")
	first.end()
	again := all[2].connect("alice")
	all[2].refuses("alice")
	again.end()
	all[0].connect("alice")
	if _, users := all[2].session.Registry.Counts(); users != 1 {
		t.Errorf("c has %d users", users)
	}
}

// refuses finds out that a user may have no more sessions.
func (n *node) refuses(user string) {
	n.t.Helper()
	var late *client
	n.asked("online", func() {
		late = n.dial(user)
		late.end()
	})
	if late.code() != core.DisconnectConnectionLimit.Code {
		n.t.Errorf("one session too many got %d: %s", late.code(), late)
	}
}

// Without a bus a process does all by itself.
func TestAlone(t *testing.T) {
	one := startAll(t, setup{name: "a"})[0]
	members := cluster.New(cluster.Options{Self: func() cluster.Member { return cluster.Member{UID: one.uid, Name: "alone"} }})
	calls := cluster.NewCalls(cluster.CallsOptions{Members: members, Local: one.server})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{calls.Run, members.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	victim := one.connect("alice", "room")
	members.Gone("nobody", "it never was")
	if list := members.List(); len(list) != 1 || !list[0].Self {
		t.Errorf("%+v", list)
	}
	if stats, err := calls.PresenceStats(ctx, "room"); err != nil || stats.Clients != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	if _, err := calls.Publish(ctx, session.Outgoing{Channel: "room", Data: []byte(`1`), IdempotencyKey: "k"}); err != nil {
		t.Error(err)
	}
	if err := calls.Disconnect(ctx, session.Target{User: "alice"}, core.DisconnectExpired); err != nil || victim.code() != core.DisconnectExpired.Code {
		t.Errorf("%d, %v", victim.code(), err)
	}
	cancel()
	wg.Wait()
}
