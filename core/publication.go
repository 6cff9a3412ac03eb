package core

// ClientInfo says who a client is to the other clients of a channel: in presence, in join and leave events, and as the
// publisher of a publication.
type ClientInfo struct {
	User     string
	Client   string // The session's ID as text.
	ConnInfo []byte // JSON given at connect, by token or hook; nil when there is none.
	ChanInfo []byte // JSON given at subscribe, by token or hook; nil when there is none.
}

// Publication is one message of a channel. Once published it is immutable: every field may be shared by any number of
// readers and none may be written.
type Publication struct {
	ID      ID // Names the message in the audit.
	Channel string
	Offset  uint64 // Position in the channel's history, from 1; 0 when the channel keeps none.
	Data    []byte
	Info    *ClientInfo // The publisher; nil when the server itself published.
	Tags    map[string]string
	Time    int64 // Unix time in milliseconds.

	ExpireAt int64 // Unix time in seconds from which on the history no longer shows it; 0: as long as the history keeps it.

	Except ID // A session that does not get it while it is live, because it published it itself; zero: none.
}

// Expired reports whether the history no longer shows the publication at now, in Unix seconds.
func (p *Publication) Expired(now int64) bool { return p.ExpireAt != 0 && p.ExpireAt <= now }

// Position is a place in a channel's history. Offsets of different epochs cannot be compared.
type Position struct {
	Offset uint64
	Epoch  string
}
