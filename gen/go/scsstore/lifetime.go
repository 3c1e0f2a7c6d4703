package scsstore

import (
	"errors"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	latchkey "latchkey.dev/go"
)

// What Latchkey takes for a lifetime, in seconds.
const (
	shortestTTL = 10
	longestTTL  = math.MaxInt32
)

// ttl is the least that Latchkey takes and is as long as d: whole seconds, at
// least 10, at most 68 years. What d is short of it, load keeps.
func ttl(d time.Duration) *durationpb.Duration {
	seconds := int64(min(longestTTL, max(shortestTTL, math.Ceil(d.Seconds()))))
	return &durationpb.Duration{Seconds: seconds}
}

// lifetimes are idle_ttl and absolute_ttl of a session that ends at expiry.
func (s *Store) lifetimes(expiry time.Time) (idle, absolute *durationpb.Duration) {
	absolute = ttl(expiry.Sub(s.now()))
	if s.options.IdleTimeout > 0 {
		return ttl(s.options.IdleTimeout), absolute
	}
	return absolute, absolute
}

// within makes a call with lifetimes, and again without those that are longer
// than the app's policy allows: then the policy's hold.
func within(idle, absolute *durationpb.Duration, call func(idle, absolute *durationpb.Duration) error) error {
	for {
		err := call(idle, absolute)
		var refused *latchkey.Error
		if !errors.As(err, &refused) || refused.Reason != latchkey.ReasonInvalid {
			return err
		}
		switch {
		case absolute != nil && slices.Contains(refused.Fields, "absolute_ttl"):
			absolute = nil
		case idle != nil && slices.Contains(refused.Fields, "idle_ttl"):
			idle = nil
		default:
			return err
		}
	}
}
