package hub

// Listening reports whether the channel has members on this node.
func (h *Hub) Listening(name string) bool {
	t := h.shards.find(name)
	if t == nil {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.members) > 0
}
