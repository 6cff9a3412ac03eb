package node

// Check looks at one part of a node. Problem returns what is wrong in a sentence, or "". It may be called at any time and is quick.
type Check struct {
	Name    string
	Problem func() string
}

// Checks are what is to be looked at. None of them keeps the node from serving what does not need the part.
func (n *Node) Checks() (checks []Check) {
	checks = append(checks, Check{Name: "bus", Problem: n.options.Bus.Problem})
	if n.history != nil {
		checks = append(checks, Check{Name: "history", Problem: n.history.Problem})
	}
	return append(checks, Check{Name: "audit", Problem: func() string {
		if err := n.recorder.Stats().LastError; err != nil {
			return "the audit store cannot be written to; events wait in the queue (see the log)"
		}
		return ""
	}})
}
