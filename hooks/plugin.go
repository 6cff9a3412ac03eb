package hooks

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Verdict is a plugin's answer. The numbers are those of the Wasm ABI hook_v1.
type Verdict uint8

// The verdicts.
const (
	Allow Verdict = iota // Yes; the next plugin is asked.
	Deny                 // No; nobody else is asked. The client gets Code and Reason. Audit: store without what may be redacted.
	Drop                 // Publish: acknowledge and deliver to nobody. Audit: do not store.
	Pass                 // No opinion; the next plugin is asked.
)

func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	case Drop:
		return "drop"
	case Pass:
		return "pass"
	}
	return "invalid"
}

// Answer is a verdict with what belongs to it.
type Answer struct {
	Verdict  Verdict
	Code     uint32 // With Deny: an error code (below 2000) or a disconnect code (3000 to 4999); 0 means 103 permission denied.
	Reason   string // With Deny: the sentence for the client and the audit.
	Modified bool   // The event was written to.
}

// Plugin is one piece of the owner's code, loaded and checked. It also implements those of the interfaces below that it wants to be
// asked by. All methods may be called concurrently.
//
// A hook method must return soon after ctx ends, and must not keep ctx: it is valid during the call only. A non-nil error is a
// fault of the plugin (not a denial): the chain decides what it means by the plugin's on_error, and the event may then be half
// written, which the chain undoes.
type Plugin interface {
	Name() string // Unique within a chain.
	Hash() string // Content hash of what was loaded, lower-case hex of SHA-256.
	Close() error // Frees what the plugin holds. No hook is called afterwards.
}

// Connector is a plugin with an opinion on connects. Authentication needs one explicit Allow, by it or by a token.
type Connector interface {
	Connect(ctx context.Context, event *Connect) (Answer, error)
}

// Refresher is a plugin with an opinion on the refresh of sessions and subscriptions. Without a token to prove it, a refresh needs its
// explicit Allow.
type Refresher interface {
	Refresh(ctx context.Context, event *Refresh) (Answer, error)
}

// Subscriber is a plugin with an opinion on subscriptions. Its Allow outweighs the namespace's rule.
type Subscriber interface {
	Subscribe(ctx context.Context, event *Subscribe) (Answer, error)
}

// Definer is a plugin that decides the options of channels, or refuses their names.
type Definer interface {
	Channel(ctx context.Context, event *Channel) (Answer, error)
}

// Publisher is a plugin with an opinion on publications. Its Allow outweighs the namespace's rule.
type Publisher interface {
	Publish(ctx context.Context, event *Publish) (Answer, error)
}

// Caller is a plugin that answers remote procedure calls. The first Allow answers; if all pass, the method does not exist.
type Caller interface {
	Call(ctx context.Context, event *RPC) (Answer, error)
}

// Receiver is a plugin that takes one-way messages. Every one is asked until somebody denies; without a reply, only a disconnect code
// reaches the client.
type Receiver interface {
	Send(ctx context.Context, event *Send) (Answer, error)
}

// Unsubscriber is a plugin that is told, afterwards, that a client has left a channel. Its verdict means nothing.
type Unsubscriber interface {
	Unsubscribe(ctx context.Context, event *Unsubscribe) (Answer, error)
}

// Disconnector is a plugin that is told, afterwards, that a session has ended. Its verdict means nothing.
type Disconnector interface {
	Disconnect(ctx context.Context, event *Disconnect) (Answer, error)
}

// Redactor is a plugin that sees what the audit is about to store and may change it or keep it out.
type Redactor interface {
	Audit(ctx context.Context, event *Audit) (Answer, error)
}

// Selective is a plugin that knows only after loading which of the hooks it has methods for it wants to be asked.
type Selective interface {
	Hooks() []Hook // Always the same.
}

// Decision is one verdict, or one fault, of one plugin: what the audit and the metrics show.
type Decision struct {
	ID       core.ID
	Hook     Hook
	Plugin   string
	Hash     string
	Verdict  Verdict // With a Fault: what it meant, Deny or, for a plugin that fails open, Pass.
	Modified bool
	Code     uint32
	Reason   string
	Fault    error // The plugin failed; wraps context.DeadlineExceeded when it ran out of time.
	Duration time.Duration

	Client  *Client // nil for channel and audit, which no client asks for.
	Channel string  // Where the event has one.
	Message core.ID // For publish.
}

// Observer is told of every decision but a Pass that changed nothing, on the goroutine that asked: it must not block or keep the Decision's pointers.
type Observer interface {
	Decided(d Decision)
}

// CallObserver is an Observer that also measures every call of a plugin, those that pass too.
type CallObserver interface {
	// Calls returns what is told how long each call of a plugin's hook took, under the same terms. It is asked when the plugin is taken into the chain.
	Calls(plugin string, hook Hook) func(took time.Duration)
}

// BreakerObserver is an Observer that also wants to know when a plugin's hook is cut out of the chain and when it is back, under the same
// terms.
type BreakerObserver interface {
	BreakerChanged(plugin string, hook Hook, state BreakerState)
}

// LeaveObserver is an Observer that also wants to know when a plugin's hook is asked no longer, because the plugin was replaced or
// removed. Decisions of calls that had begun before may follow. The same terms.
type LeaveObserver interface {
	Left(plugin string, hook Hook)
}
