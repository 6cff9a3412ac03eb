package join

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// Protocol is the version of what agents and workers say here. It is raised when the version before does not understand a change;
// fields that may be missing are no such change.
const Protocol = 1

// What is refused because nothing honest is so large.
const (
	chunkSize      = 256 << 10 // Far below what NATS takes in a message by default, 1 MiB.
	maxAnswer      = 64 << 10
	maxDescription = 64 << 20
	maxBundle      = 1 << 30
	maxPlugins     = 1000
	maxPid         = math.MaxInt32
)

// The subjects, below the bus's prefix.
const (
	anyAgent    = "agent.join"
	ofAgent     = "agent.%s.join" // By UID.
	namedAgent  = "agent.named.%s.join"
	bundleAgent = "agent.%s.bundle" // By UID.
	lookWorker  = "node.%s.look"    // By the worker's UID.
)

// request is what a worker asks with.
type request struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // Of the worker's program.
	UID      string `json:"uid"`
	PID      int    `json:"pid"`
	Host     string `json:"host"`            // Name of the worker's machine.
	Index    int    `json:"index,omitempty"` // Of a child of the agent, from 1; 0: the worker was started elsewhere.
	Name     string `json:"name,omitempty"`  // That a worker from elsewhere would like to have.
	Again    bool   `json:"again,omitempty"` // It has joined before and asks whether anything is new.
}

// answer is what the agent says.
type answer struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // Of the agent's program.
	Agent    string `json:"agent"`   // The agent's UID.
	Node     string `json:"node"`    // The agent's name.

	Refused string `json:"refused,omitempty"` // Why the worker cannot join; nothing below is set then.
	Later   bool   `json:"later,omitempty"`   // It may try again.

	Name        string `json:"name"`
	Index       int    `json:"index,omitempty"`
	Description string `json:"description"` // Its hash.
	Size        int64  `json:"size"`        // Of the description, in bytes.
	Settings    string `json:"settings"`    // Hash of the configuration in it, without the plugins; empty: of an agent that does not say.
	Replicas    int    `json:"replicas"`    // The agent's terms of the bus.
	Disk        int64  `json:"disk"`
}

// part asks for a piece of the bytes that have a hash. Its answer is the piece, as it is, or nothing if the agent has no such bytes.
type part struct {
	Hash   string `json:"hash"`
	Offset int64  `json:"offset"`
}

// description is what a worker runs on.
type description struct {
	Config  json.RawMessage `json:"config"` // Made by config.Export.
	Plugins []described     `json:"plugins"`
}

// described is a plugin without its source.
type described struct {
	Key      string         `json:"key"`
	Name     string         `json:"name"`
	File     string         `json:"file"`
	Hash     string         `json:"hash"`
	Size     int64          `json:"size"`
	Config   map[string]any `json:"config,omitempty"`
	Deadline time.Duration  `json:"deadline"` // Nanoseconds, as all here.
	FailOpen bool           `json:"fail_open,omitempty"`
	Faults   int            `json:"breaker_faults"`
	Window   time.Duration  `json:"breaker_window"`
	Cooldown time.Duration  `json:"breaker_cooldown"`
	Memory   int64          `json:"memory"`
	MaxSize  int64          `json:"max_size"`
	Rights   host.Rights    `json:"rights"`
}

func describe(b plugins.Bundle) described {
	return described{
		Key: b.Key, Name: b.Name, File: b.File, Hash: b.Hash, Size: int64(len(b.Source)), Config: b.Config, Deadline: b.Deadline, FailOpen: b.FailOpen,
		Faults: b.Breaker.Faults, Window: b.Breaker.Window, Cooldown: b.Breaker.Cooldown, Memory: int64(b.Memory), MaxSize: int64(b.MaxSize),
		Rights: b.Rights,
	}
}

func (d described) bundle(source []byte) plugins.Bundle {
	return plugins.Bundle{
		Key: d.Key, Name: d.Name, File: d.File, Hash: d.Hash, Source: source, Config: d.Config, Deadline: d.Deadline, FailOpen: d.FailOpen,
		Breaker: hooks.Breaker{Faults: d.Faults, Window: d.Window, Cooldown: d.Cooldown}, Memory: config.Size(d.Memory), MaxSize: config.Size(d.MaxSize),
		Rights: d.Rights,
	}
}

var errMalformed = errors.New("the agent's answer is malformed")

func malformed(why string) error { return fmt.Errorf("%w: %s", errMalformed, why) }

// decodeRequest reads what a worker asks with.
func decodeRequest(b []byte) (request, error) {
	var r request
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("malformed request to join: %w", err)
	}
	switch {
	case r.Protocol != Protocol: // Nothing else can be relied on.
	case r.UID == "" || len(r.UID) > 64, len(r.Version) > 128, len(r.Host) > 255, r.Index < 0, r.PID < 0, r.PID > maxPid:
		return r, errors.New("malformed request to join")
	}
	return r, nil
}

// decodeAnswer reads what an agent says to a worker that wanted to be a certain one.
func decodeAnswer(b []byte, index int) (answer, error) {
	var a answer
	if len(b) > maxAnswer {
		return a, malformed("it is too long")
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, malformed(err.Error())
	}
	switch {
	case a.Protocol != Protocol || a.Refused != "":
		return a, nil // Nothing else counts.
	case !config.ValidNodeName(a.Name):
		return a, malformed("it gives this worker no name")
	case !config.ValidNodeName(a.Agent) || !config.ValidNodeName(a.Node):
		return a, malformed("it does not say whose it is")
	case a.Index != index:
		return a, malformed("it is for another worker")
	case !validHash(a.Description) || a.Size <= 0 || a.Size > maxDescription:
		return a, malformed("it does not say what to fetch")
	case a.Replicas < 1 || a.Disk < 0:
		return a, malformed("it does not say how the bus is used")
	}
	return a, nil
}

// decodeDescription reads a description whose hash has been checked.
func decodeDescription(b []byte) (description, error) {
	var d description
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&d); err != nil {
		return d, malformed(err.Error())
	}
	if len(d.Plugins) > maxPlugins {
		return d, malformed("it holds too many plugins")
	}
	names := map[string]bool{}
	for _, p := range d.Plugins {
		ending := filepath.Ext(p.File)
		switch {
		case p.Name == "" || names[p.Name]:
			return d, malformed("a plugin has no name of its own")
		case ending != ".lua" && ending != ".wasm":
			return d, malformed("a plugin is of no known kind")
		case !validHash(p.Hash) || p.Size < 0 || p.Size > maxBundle:
			return d, malformed("it does not say where to get a plugin")
		case p.Deadline < 0 || p.Window < 0 || p.Cooldown < 0 || p.Memory < 0 || p.MaxSize < 0:
			return d, malformed("a plugin has impossible limits")
		}
		names[p.Name] = true
		for key, value := range p.Config {
			p.Config[key] = plain(value)
		}
	}
	return d, nil
}

// plain makes the numbers in a value those that a configuration file would have brought.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64() // What is too large becomes infinite.
		return f
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return value
}

// validHash reports whether a text is the lower-case hex of a SHA-256. It becomes the name of a file.
func validHash(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == 32 && !slices.ContainsFunc([]byte(text), func(c byte) bool { return c >= 'A' && c <= 'F' })
}
