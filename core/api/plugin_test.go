package api_test

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/zenconn/server/hooks"
)

// calculator answers calls.
var calculator = hooks.Link{Plugin: calls{}}

type calls struct{}

func (calls) Name() string { return "calculator" }
func (calls) Hash() string { return "0123456789ab" }
func (calls) Close() error { return nil }

func (calls) Call(_ context.Context, event *hooks.RPC) (hooks.Answer, error) {
	if event.Client.Transport != "api" || event.Client.User != "" || event.Client.Header("Cookie") != "" {
		return hooks.Answer{}, errors.New("not a call of the server's owner")
	}
	switch event.Method {
	case "add":
		var numbers []int
		if err := json.Unmarshal(event.Input, &numbers); err != nil {
			return hooks.Answer{}, err
		}
		sum := 0
		for _, n := range numbers {
			sum += n
		}
		reply, err := json.Marshal(sum)
		event.Reply = reply
		return hooks.Answer{Verdict: hooks.Allow, Modified: true}, err
	case "fail":
		return hooks.Answer{Verdict: hooks.Deny, Code: 444, Reason: "no <luck>"}, nil
	case "close":
		return hooks.Answer{Verdict: hooks.Deny, Code: 4000, Reason: "go away"}, nil
	case "break":
		return hooks.Answer{}, errors.New("a secret of the plugin")
	}
	return hooks.Answer{Verdict: hooks.Pass}, nil
}
