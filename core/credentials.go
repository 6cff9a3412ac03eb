package core

// Credentials is what an authenticator or a connect hook found out about a client.
type Credentials struct {
	User     string // Empty: anonymous.
	Info     []byte // JSON shown to others as ClientInfo.ConnInfo.
	ExpireAt int64  // Unix seconds; 0: never.
	Grants   Grants
	Subs     map[string]SubscribeOptions // Server-side subscriptions made at connect.
}

// SubscribeOptions is what a token or a hook gives to one subscription.
type SubscribeOptions struct {
	Info     []byte     // JSON shown to others as ClientInfo.ChanInfo.
	Data     []byte     // JSON handed to the subscriber in the reply.
	ExpireAt int64      // Unix seconds; 0: never.
	Allow    Permission // Given in this channel while the subscription lasts.
	// The namespace's options are overridden where these are not nil.
	Presence  *bool
	JoinLeave *bool
	Recovery  *bool
}
