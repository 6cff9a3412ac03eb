package bench

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scenario names what a run does.
type Scenario string

// The scenarios.
const (
	Fanout   Scenario = "fanout"   // Many subscribers of one channel.
	Channels Scenario = "channels" // Many channels with a few subscribers each.
	Echo     Scenario = "echo"     // Clients that publish to themselves: the round trip.
	Connect  Scenario = "connect"  // Clients that connect, as fast as the server lets them.
	Idle     Scenario = "idle"     // Subscribers that are sent nothing: the memory.
	History  Scenario = "history"  // Publishers into channels that nobody reads: the acknowledgements.
	Recovery Scenario = "recovery" // Subscribers that come back all at once and recover what they missed.
	Presence Scenario = "presence" // Asking who is in a channel of many members.

	Subscriptions Scenario = "subscriptions" // Clients with many channels each: the memory of a subscription.
)

// The protocols a client can speak.
const (
	JSON     = "json"
	Protobuf = "protobuf"
)

// Options say what a run does. Start from Defaults.
type Options struct {
	Scenario    Scenario      `json:"scenario"`
	URL         string        `json:"url"`                   // ws:// or wss://
	Protocol    string        `json:"protocol"`              // JSON or Protobuf.
	Namespace   string        `json:"namespace,omitempty"`   // Empty: the server's default namespace.
	Channel     string        `json:"channel"`               // How channel names begin; a part that is new in every run follows.
	Clients     int           `json:"clients"`               // Subscribers (of each channel), or connections; history: none.
	Channels    int           `json:"channels"`              // Channels that are published to, or subscribed to; subscriptions: by each client.
	Publishers  int           `json:"publishers"`            // Connections that publish; echo, subscriptions: the clients do.
	PublishURL  string        `json:"publish_url,omitempty"` // Where those connect; empty: as the others.
	Missed      int           `json:"missed,omitempty"`      // Publications in each channel that are recovered.
	APIURL      string        `json:"api_url,omitempty"`     // Presence: ask the server API there, instead of a client.
	APIKey      string        `json:"-"`
	Size        int           `json:"size"`                  // Bytes of a payload, at least MinSize.
	Rate        float64       `json:"rate"`                  // Publications (presence: questions) per second in all; 0: as fast as the server answers.
	InFlight    int           `json:"in_flight"`             // With rate 0, publications that are under way at a time, in all.
	Warmup      time.Duration `json:"warmup_ns"`             // Checked, but not measured.
	Duration    time.Duration `json:"duration_ns"`           // Measured.
	Concurrency int           `json:"concurrency"`           // Connections that are being made at a time; recovery: not when they come back.
	Readers     int           `json:"readers"`               // Event loops; 0: half the processors; below 0: a goroutine per connection.
	PIDs        []int         `json:"server_pids,omitempty"` // The server's processes on this machine.
	Token       string        `json:"-"`                     // JWT that every client connects with.
	TokenSecret string        `json:"-"`                     // HMAC secret to sign a JWT for each client instead.
	UserData    string        `json:"user_data,omitempty"`   // Clients connect with data {"user":"<UserData>-<n>"}.
	Storm       int           `json:"storm,omitempty"`       // Echo: so many clients connect and leave at a time while it is measured; 0: none.
	Compress    bool          `json:"compress,omitempty"`    // The connections negotiate permessage-deflate.
	Bare        bool          `json:"bare,omitempty"`        // Connect: only the WebSocket handshake, without a connect command.
}

// Defaults returns the options of a run that tells something about a server on this machine within about ten seconds. They have
// so many publishers that none of them sends more than the 100 commands per second that a server allows by default.
func Defaults(s Scenario) Options {
	o := Options{
		Scenario: s, URL: "ws://127.0.0.1:8000/connection/websocket", Protocol: JSON, Channel: "bench",
		Size: 200, Warmup: time.Second, Duration: 5 * time.Second, Concurrency: 64,
	}
	switch s {
	case Fanout:
		o.Clients, o.Channels, o.Publishers, o.InFlight = 1000, 1, 16, 8
	case Channels:
		o.Clients, o.Channels, o.Publishers, o.InFlight = 2, 1000, 1000, 64
	case Echo:
		o.Clients, o.Rate = 100, 1000
	case Connect:
		o.Clients, o.Warmup, o.Duration = 5000, 0, time.Second
	case Idle:
		o.Clients, o.Warmup = 10_000, 0
	case History:
		o.Channels, o.Publishers, o.InFlight = 1000, 1000, 64
	case Recovery:
		o.Clients, o.Channels, o.Publishers, o.InFlight, o.Missed, o.Warmup = 1000, 1000, 1000, 64, 50, 0
	case Presence:
		o.Clients, o.Rate = 1000, 50
	case Subscriptions:
		o.Clients, o.Channels, o.InFlight, o.Warmup = 1000, 100, 256, 0
	}
	return o
}

// The limits of what can be asked for: stream numbers and marks have room for more, memory does not.
const (
	maxConnections = 1 << 20
	maxSize        = 1 << 20
	maxInFlight    = 1 << 16
	maxMissed      = 10_000
)

// Check reports everything that is wrong with the options, and settles what follows from others.
func (o *Options) Check() error {
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	need(isURL(o.URL, "ws", "wss"), "url: want ws://host:port/path or wss://, not %q", o.URL)
	need(o.PublishURL == "" || isURL(o.PublishURL, "ws", "wss"), "publish-url: want ws://host:port/path or wss://, not %q", o.PublishURL)
	need(o.Protocol == JSON || o.Protocol == Protobuf, "protocol: want json or protobuf, not %q", o.Protocol)
	need(!strings.ContainsAny(o.Namespace+o.Channel, "\"\\\n"), "channel: quotes, backslashes and line breaks are not possible")
	need(o.Size >= MinSize && o.Size <= maxSize, "size: want %d to %d bytes", MinSize, maxSize)
	need(o.Duration > 0 && o.Warmup >= 0, "duration: want a positive time")
	need(o.Concurrency >= 1 && o.Concurrency <= 4096, "concurrency: want 1 to 4096")
	need(o.Readers <= 256, "readers: want at most 256")
	need(o.Token == "" || o.TokenSecret == "", "token and token-secret exclude each other")
	need(o.Storm >= 0 && o.Storm <= 4096, "storm: want 0 to 4096")
	need(o.Storm == 0 || o.Scenario == Echo, "storm: only echo can do it")
	need(!o.Bare || o.Scenario == Connect && o.Token+o.TokenSecret+o.UserData == "", "bare: only connect can do it, and without saying who connects")
	need(o.Rate >= 0 && o.Rate <= 1e7, "rate: want 0 to 10000000 publications per second")
	switch o.Scenario {
	case Connect:
	case Idle:
		o.Channels = o.Clients
	case Echo:
		o.Channels, o.Publishers = o.Clients, 0
		if o.InFlight == 0 {
			o.InFlight = o.Clients
		}
	case Fanout:
		o.Channels = 1
		need(o.Publishers >= 1, "publishers: want at least 1")
	case Channels, History:
		need(o.Channels >= 1, "channels: want at least 1")
		need(o.Publishers >= 1, "publishers: want at least 1")
		o.Publishers = min(o.Publishers, o.Channels)
	case Recovery:
		need(o.Channels >= 1 && o.Clients%max(o.Channels, 1) == 0, "channels: the clients must be a multiple of them")
		need(o.Publishers >= 1, "publishers: want at least 1")
		need(o.Missed >= 1 && o.Missed <= maxMissed, "missed: want 1 to %d", maxMissed)
		o.Publishers = min(o.Publishers, o.Channels)
	case Presence:
		o.Channels = 1
		need(o.APIURL == "" || isURL(o.APIURL, "http", "https"), "api-url: want http://host:port or https://, not %q", o.APIURL)
	case Subscriptions:
		need(o.Channels >= 1, "channels: want at least 1")
		need(o.Clients <= maxConnections/max(o.Channels, 1), "want at most %d subscriptions in all", maxConnections)
		o.Publishers = 0
	default:
		need(false, "scenario: want fanout, channels, echo, connect, idle, history, recovery, presence or subscriptions, not %q", o.Scenario)
	}
	need(o.Scenario == History || o.Clients >= 1, "want at least one client")
	need(!o.publishes() || o.Rate > 0 || (o.InFlight >= 1 && o.InFlight <= maxInFlight), "in-flight: want 1 to %d", maxInFlight)
	n, ok := o.connections()
	need(ok, "%d connections are more than the %d a run can hold", n, maxConnections)
	return errors.Join(wrong...)
}

// isURL says whether text is an address of one of the schemes.
func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Host != ""
}

// publishes says whether the scenario is about messages.
func (o *Options) publishes() bool {
	return o.Scenario != Connect && o.Scenario != Idle && o.Scenario != Presence
}

// subscribers returns how many connections subscribe.
func (o *Options) subscribers() int {
	switch o.Scenario {
	case Channels:
		return o.Clients * o.Channels
	case History:
		return 0
	default:
		return o.Clients
	}
}

// connections returns how many connections the run needs.
func (o *Options) connections() (n int, ok bool) {
	for _, part := range []int{o.Clients, o.Channels, o.Publishers} {
		if part < 0 || part > maxConnections {
			return part, false
		}
	}
	n = o.subscribers() + o.Publishers
	return n, n <= maxConnections
}

// channelName returns the name of channel i. The part before it must be new in every run.
func (o *Options) channelName(i int) string {
	name := o.Channel + "-" + strconv.Itoa(i)
	if o.Namespace != "" {
		name = o.Namespace + ":" + name
	}
	return name
}
