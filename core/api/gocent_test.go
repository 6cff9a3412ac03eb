package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/gocent/v3"
)

// The server library of Centrifugo for Go works.
func TestGocent(t *testing.T) {
	r := start(t, configuration())
	ctx := t.Context()
	client := gocent.New(gocent.Config{Addr: "http://" + r.api + "/api", Key: key, HTTPClient: r.http})
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	alice := r.connect("alice")
	check("subscribe", client.Subscribe(ctx, "news", "alice"))
	alice.expect(`"subscribe":{`)

	published, err := client.Publish(ctx, "news", []byte(`{"n":1}`))
	check("publish", err)
	if published.Offset != 1 || published.Epoch == "" {
		t.Errorf("published %+v", published)
	}
	alice.expect(`{"n":1}`)
	skipped, err := client.Publish(ctx, "news", []byte(`{"n":2}`), gocent.WithSkipHistory(true))
	check("publish without history", err)
	if skipped.Offset != 0 {
		t.Errorf("published without history %+v", skipped)
	}
	alice.expect(`{"n":2}`)
	broadcast, err := client.Broadcast(ctx, []string{"news", "nowhere:a"}, []byte(`{"n":3}`))
	check("broadcast", err)
	if len(broadcast.Responses) != 2 || broadcast.Responses[0].Result.Offset != 2 || broadcast.Responses[1].Error.Code != 102 {
		t.Errorf("broadcast %+v", broadcast)
	}

	presence, err := client.Presence(ctx, "news")
	check("presence", err)
	if info := presence.Presence[alice.id]; info.User != "alice" || info.Client != alice.id {
		t.Errorf("presence %+v", presence)
	}
	stats, err := client.PresenceStats(ctx, "news")
	check("presence stats", err)
	if stats.NumClients != 1 || stats.NumUsers != 1 {
		t.Errorf("presence stats %+v", stats)
	}
	history, err := client.History(ctx, "news", gocent.WithLimit(gocent.NoLimit), gocent.WithReverse(true))
	check("history", err)
	if len(history.Publications) != 2 || string(history.Publications[0].Data) != `{"n":3}` || history.Offset != 2 || history.Epoch != published.Epoch {
		t.Errorf("history %+v", history)
	}
	check("remove history", client.HistoryRemove(ctx, "news"))
	channels, err := client.Channels(ctx, gocent.WithPattern("n*"))
	check("channels", err)
	if len(channels.Channels) != 1 {
		t.Errorf("channels %+v", channels)
	}
	info, err := client.Info(ctx)
	check("info", err)
	if len(info.Nodes) != 1 || info.Nodes[0].Name != "test" || info.Nodes[0].NumClients != 1 || info.Nodes[0].NumChannels != 1 {
		t.Errorf("info %+v", info)
	}

	pipe := client.Pipe()
	check("pipe", errors.Join(pipe.AddPublish("news", []byte(`{"n":4}`)), pipe.AddPresenceStats("nowhere:a"), pipe.AddInfo()))
	replies, err := client.SendPipe(ctx, pipe)
	check("send pipe", err)
	if len(replies) != 3 || replies[0].Error != nil || replies[1].Error.Code != 102 || !strings.Contains(string(replies[2].Result), `"nodes"`) {
		t.Errorf("pipe: %+v", replies)
	}

	check("unsubscribe", client.Unsubscribe(ctx, "news", "alice"))
	alice.expect(`"unsubscribe":{"code":2000,`)
	check("disconnect", client.Disconnect(ctx, "alice"))
	alice.expectClose(3503, "force disconnect")

	_, err = gocent.New(gocent.Config{Addr: "http://" + r.api + "/api", Key: "another key", HTTPClient: r.http}).Info(ctx)
	if refused, ok := errors.AsType[gocent.ErrStatusCode](err); !ok || refused.Code != http.StatusUnauthorized {
		t.Errorf("with another key: %v", err)
	}
}
