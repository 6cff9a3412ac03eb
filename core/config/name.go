package config

import "regexp"

// Lengths of names of nodes, in bytes.
const (
	maxAgentName = 100 // A worker's has a number behind it.
	maxNodeName  = 128
)

var nodeName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// ValidNodeName reports whether a text can be the name of a node. Those of machines can.
func ValidNodeName(name string) bool { return len(name) <= maxNodeName && nodeName.MatchString(name) }

// NodeName returns the name of the agent on a machine.
func (a Agent) NodeName(host string) string {
	switch {
	case a.Name != "":
		return a.Name
	case len(host) <= maxAgentName && ValidNodeName(host):
		return host
	}
	return "zenconn"
}
