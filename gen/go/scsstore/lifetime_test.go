package scsstore

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

func TestLifetimesAreRoundedUpToWhatLatchkeyTakes(t *testing.T) {
	for given, want := range map[time.Duration]int64{
		-time.Hour: 10, 0: 10, time.Millisecond: 10, 10 * time.Second: 10, 15500 * time.Millisecond: 16,
		24 * time.Hour: 86_400, math.MaxInt64: math.MaxInt32,
	} {
		if got := ttl(given); got.Seconds != want || got.Nanos != 0 {
			t.Errorf("%v became %v", given, got)
		}
	}
}

func TestNoLifetimeIsAnErrorToTheVisitor(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Second, 1500 * time.Millisecond, 100 * 365 * 24 * time.Hour, 250 * 365 * 24 * time.Hour} {
		for _, idle := range []time.Duration{-1, 0, time.Millisecond, 15500 * time.Millisecond, math.MaxInt64} {
			a := newApp(t, "scs-lifetimes", Options{IdleTimeout: idle})
			a.manager.Lifetime = lifetime
			b := a.browser(t)
			b.visit("/login?user=ann")
			if !isToken(b.cookie()) || b.visit("/get?key=userID") != "ann" {
				t.Errorf("lifetime %v, idle %v: ann is not logged in", lifetime, idle)
			}
		}
	}
}

func TestSessionThatExpiredIsDeletedWithItsCookie(t *testing.T) {
	a := newApp(t, "scs-expired", Options{})
	b := a.browser(t)
	b.visit("/login?user=ann")
	a.manager.Lifetime = -time.Second
	other := a.browser(t)
	other.visit("/login?user=bob")
	if other.cookie() != "" || len(a.sessions(t, "bob")) != 0 {
		t.Fatal("a session that had expired was begun")
	}
	ctx, err := a.manager.Load(inRequest(t), b.cookie())
	if err != nil {
		t.Fatal(err)
	}
	a.manager.SetDeadline(ctx, time.Now().Add(-time.Second))
	if _, _, err := a.manager.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if len(a.sessions(t, "ann")) != 0 {
		t.Fatal("a session that had expired is kept")
	}
}

func TestPolicyOfTheAppHoldsWhereItAllowsLess(t *testing.T) {
	a := newApp(t, "scs-policy", Options{})
	_, err := a.client.Sessions.SetAppPolicy(t.Context(), &sessionv1.SetAppPolicyRequest{App: "scs-policy", Policy: &sessionv1.AppPolicy{
		MaxIdleTtl: durationpb.New(time.Minute), MaxAbsoluteTtl: durationpb.New(time.Hour),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := a.browser(t)
	b.visit("/login?user=ann")
	a.manager.IdleTimeout = 2 * time.Hour
	b.visit("/put?key=a&value=1")
	own := a.sessions(t, "ann")
	if len(own) != 1 || own[0].GetIdleTtl().AsDuration() > time.Minute || b.visit("/get?key=a") != "1" {
		t.Fatalf("ann has %v", own)
	}
}
