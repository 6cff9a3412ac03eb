package cluster

import (
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// List is the list of the sessions of all members that an agent keeps. It is some milliseconds behind the members, which also know more
// of their sessions, so it speaks only where they cannot: for one that does not answer, and of users who are on several. Implemented by
// core/registry, and keyed by the UIDs of members. Both methods may be called concurrently and return at once.
type List interface {
	// Sessions returns the first sessions of a member whose IDs follow after, sorted by ID. The list does not know channels: a filter
	// by one finds nothing.
	Sessions(uid string, f session.Filter, after core.ID, limit int) []session.Opening

	// Counts returns how many sessions and users there are in all, and whether the lists of these members have all been read.
	Counts(uids []string) (sessions, users int, known bool)
}

// Consult gives an agent's Calls its list. It must be called before Sessions and Counts.
func (c *Calls) Consult(l List) { c.list = l }

// listed tells what the list has of the sessions of members that have not answered.
func (c *Calls) listed(missing []contact, f session.Filter, p session.Page) (infos []session.Info) {
	if c.list == nil {
		return nil
	}
	after, err := core.ParseID(p.After)
	if err != nil {
		after = core.ID{} // It is the first page, or begins where no page ends.
	}
	for _, m := range missing {
		for _, o := range c.list.Sessions(m.UID, f, after, p.Limit) {
			info := session.Info{
				ID: o.ID.String(), User: o.User, Node: m.Name, Transport: o.Transport, Protocol: o.Protocol, UserAgent: o.UserAgent,
				ConnectedAt: o.ConnectedAt, LastSeen: o.ConnectedAt, Silent: true,
			}
			if o.RemoteAddr.IsValid() {
				info.RemoteAddr = o.RemoteAddr.String()
			}
			infos = append(infos, info)
		}
	}
	return infos
}

// counted asks the list how many sessions and users there are. It does not know when a member's list has not been read.
func (c *Calls) counted() (sessions, users int, known bool) {
	if c.list == nil {
		return 0, 0, false
	}
	uids := []string{c.members.UID()}
	for _, m := range c.members.usable() {
		uids = append(uids, m.UID)
	}
	return c.list.Counts(uids)
}

// place says which worker of which agent keeps each session.
func (c *Calls) place(infos []session.Info) {
	members := c.members.List()
	names := make(map[string]string, len(members)) // By UID.
	nodes := make(map[string]Member, len(members)) // By name: a successor that has the same is the same worker.
	for _, m := range members {
		names[m.UID], nodes[m.Name] = m.Name, m
	}
	for i := range infos {
		m := nodes[infos[i].Node]
		infos[i].Worker, infos[i].Agent = m.Index, names[m.Agent]
	}
}
