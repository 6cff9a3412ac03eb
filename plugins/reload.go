package plugins

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/zenconn/server/hooks"
)

// Loaded is bundles with the links that were made of them, in the same order.
type Loaded struct {
	Bundles []Bundle
	Links   []hooks.Link
}

// Next loads the bundles that are to come after those that are loaded. One that is as it was keeps its link, and so its instances and what
// they remember, whatever its place is now; for the others a plugin is made beside the one that runs. All that is wrong is reported at
// once, and then nothing new stays loaded. What is in the result and not in l belongs to the caller.
func (l Loaded) Next(ctx context.Context, bundles []Bundle, o Options) (Loaded, error) {
	next := Loaded{Bundles: bundles, Links: make([]hooks.Link, len(bundles))}
	var fresh []Bundle
	var places []int
	for i, b := range bundles {
		if old := slices.IndexFunc(l.Bundles, b.same); old >= 0 {
			next.Links[i] = l.Links[old]
			continue
		}
		fresh, places = append(fresh, b), append(places, i)
	}
	links, err := Links(ctx, fresh, o)
	if err != nil {
		return Loaded{}, err
	}
	for i, link := range links {
		next.Links[places[i]] = link
	}
	return next, nil
}

// Discard closes the plugins that were made beside those of before.
func (l Loaded) Discard(before Loaded) error {
	var errs []error
	for _, link := range l.Links {
		if !slices.ContainsFunc(before.Links, func(other hooks.Link) bool { return other.Plugin == link.Plugin }) {
			errs = append(errs, link.Plugin.Close())
		}
	}
	return errors.Join(errs...)
}

// same says that a plugin made of the one would do what one made of the other does. Its place in the configuration does not matter.
func (b Bundle) same(other Bundle) bool {
	b.Key, other.Key = "", ""
	if b.Hash == other.Hash { // Then so is the source, which may be long.
		b.Source, other.Source = nil, nil
	}
	return reflect.DeepEqual(b, other)
}

// Same says that both are the same plugins in the same order.
func Same(a, b []Bundle) bool { return slices.EqualFunc(a, b, Bundle.same) }
