package scenario

import "github.com/zenconn/server/hooks"

// Connecting is an event made from what is known of a real one; so are the others.
func Connecting(e hooks.Connect) Event {
	return &event[hooks.Connect]{e, hooks.Connect{}, (*hooks.Chain).Connect, connectFields()}
}

// Subscribing is a subscription that was asked for.
func Subscribing(e hooks.Subscribe) Event {
	return &event[hooks.Subscribe]{e, hooks.Subscribe{}, (*hooks.Chain).Subscribe, subscribeFields()}
}

// Publishing is a publication that was asked for.
func Publishing(e hooks.Publish) Event {
	return &event[hooks.Publish]{e, hooks.Publish{}, (*hooks.Chain).Publish, publishFields()}
}
