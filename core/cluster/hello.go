package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
)

// helloSubject is where everybody says hello and listens.
const helloSubject = "nodes.hello"

// helloFormat is the version of a hello's form. Every form has v, bus, uid, name and version, so that a member that is too new is
// at least listed.
const helloFormat = 1

// hello is what a member says to all others, as JSON. With Bye or Gone it is no hello.
type hello struct {
	Format int   `json:"v"`
	Bus    int   `json:"bus"` // bus.Version.
	Now    int64 `json:"now"` // The sender's clock, in Unix milliseconds; only to tell how wrong it is.
	Member
	Ask  bool   `json:"ask,omitempty"`  // The others shall say hello at once.
	Bye  string `json:"bye,omitempty"`  // The sender ends, for this reason.
	Gone string `json:"gone,omitempty"` // The UID of another that has ended; the sender is its supervisor.
	Why  string `json:"why,omitempty"`  // Reason of Gone.
}

// Longest texts in a hello, in bytes.
const (
	maxName   = 255
	maxReason = 1000
)

// parse reads a hello. What is not one gets an error; one of another version gets through with what all versions have.
func parse(body []byte) (*hello, error) {
	h := &hello{}
	if err := json.Unmarshal(body, h); err != nil {
		if h.Format == helloFormat || h.Format == 0 {
			return nil, err
		}
		// Of another version: its other fields may be of other types.
	}
	if _, err := core.ParseID(h.UID); err != nil {
		return nil, fmt.Errorf("uid: %w", err)
	}
	h.UID = strings.ToLower(h.UID)
	switch {
	case h.Name == "" || len(h.Name) > maxName || !utf8.ValidString(h.Name):
		return nil, errors.New("the name is empty, too long, or no text")
	case len(h.Version) > maxName || len(h.Bye) > maxReason || len(h.Why) > maxReason:
		return nil, errors.New("a text is too long")
	}
	return h, nil
}

// compatible returns what keeps the sender from being used, or "".
func (h *hello) compatible() string {
	if h.Format == helloFormat && h.Bus == bus.Version {
		return ""
	}
	return fmt.Sprintf("it speaks version %d of the requests between processes, this one version %d: it is not used until both run programs that fit", h.Bus, bus.Version)
}
