package scsstore

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/servers"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

var (
	_ scs.CtxStore         = (*Store)(nil)
	_ scs.IterableStore    = (*Store)(nil)
	_ scs.IterableCtxStore = (*Store)(nil)
	_ scs.Codec            = Codec{}
)

func newClient(t *testing.T) *latchkey.Client {
	t.Helper()
	client, err := latchkey.NewClient(servers.Get(t).Servers["open"].GRPC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// newStore answers a store of the app that has a clock of its own.
func newStore(t *testing.T, app string) (*Store, *time.Time) {
	t.Helper()
	now := time.Now()
	store := New(newClient(t), scs.New(), Options{App: app})
	store.now = func() time.Time { return now }
	return store, &now
}

// inRequest is the context of a request, as LoadAndSave makes it.
func inRequest(t *testing.T) context.Context {
	return context.WithValue(t.Context(), requestKey{}, newRequest(httptest.NewRequest("GET", "/", nil)))
}

// begin commits a new session, and answers its token in Latchkey.
func begin(t *testing.T, store *Store, b string, expiry time.Time) string {
	t.Helper()
	ctx := inRequest(t)
	if err := store.CommitCtx(ctx, "placeholder", []byte(b), expiry); err != nil {
		t.Fatal(err)
	}
	return tokenOf(ctx, "placeholder")
}

func expectFound(t *testing.T, store *Store, token, want string) {
	t.Helper()
	b, found, err := store.Find(token)
	if err != nil || !found || string(b) != want {
		t.Fatalf("found %q (%v, %v), not %q", b, found, err, want)
	}
}

func expectMissing(t *testing.T, store *Store, token string) {
	t.Helper()
	b, found, err := store.Find(token)
	if b != nil || found || err != nil {
		t.Fatalf("found %q (%v, %v)", b, found, err)
	}
}

func inAMinute() time.Time { return time.Now().Add(time.Minute) }

const noToken = "0000000000000000000000000000000000000000000000000000000000000000"

func TestFindAnswersWhatWasCommitted(t *testing.T) {
	store, _ := newStore(t, "scs-find")
	for _, b := range []string{"encoded_data", "\x00\xff", "", `{"a":1}`, "[1]", "null", "{}"} {
		expectFound(t, store, begin(t, store, b, inAMinute()), b)
	}
}

func TestFindOfWhatIsNotThereFindsNothing(t *testing.T) {
	store, _ := newStore(t, "scs-missing")
	for _, token := range []string{noToken, "missing_session_token", "", "\xff", "id:" + noToken} {
		expectMissing(t, store, token)
	}
}

func TestFindOfASessionThatIsNotOfScsFindsNothing(t *testing.T) {
	store, _ := newStore(t, "scs-foreign")
	made, err := newClient(t).Sessions.CreateSession(t.Context(), &sessionv1.CreateSessionRequest{App: "scs-foreign", UserId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	expectMissing(t, store, made.GetToken())
}

func TestPlaceholderIsTheSessionWithinItsRequestOnly(t *testing.T) {
	store, _ := newStore(t, "scs-placeholder")
	ctx := inRequest(t)
	for _, want := range []string{"first", "second"} {
		if err := store.CommitCtx(ctx, "placeholder", []byte(want), inAMinute()); err != nil {
			t.Fatal(err)
		}
		if b, found, err := store.FindCtx(ctx, "placeholder"); err != nil || !found || string(b) != want {
			t.Fatalf("found %q (%v, %v)", b, found, err)
		}
	}
	expectMissing(t, store, "placeholder")
	expectFound(t, store, tokenOf(ctx, "placeholder"), "second")
	if all, err := store.All(); err != nil || len(all) != 1 {
		t.Fatalf("two commits made %v (%v)", all, err)
	}
}

func TestCommitOverwritesDataAndExpiry(t *testing.T) {
	store, now := newStore(t, "scs-overwrite")
	token := begin(t, store, `{"a":1,"b":2}`, inAMinute())
	hour := now.Add(time.Hour)
	if err := store.Commit(token, []byte(`{"b":3}`), hour); err != nil {
		t.Fatal(err)
	}
	expectFound(t, store, token, `{"b":3}`)
	peeked, err := store.sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{App: "scs-overwrite", Token: token, Peek: true})
	if err != nil {
		t.Fatal(err)
	}
	if off := peeked.GetSession().GetAbsoluteExpiresAt().AsTime().Sub(hour).Abs(); off > 10*time.Second {
		t.Fatalf("it ends %v off", off)
	}
	*now = now.Add(30 * time.Minute)
	expectFound(t, store, token, `{"b":3}`)
	if err := store.Commit(token, []byte("other"), now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	expectFound(t, store, token, "other")
	*now = now.Add(time.Second)
	expectMissing(t, store, token)
}

func TestSessionIsFoundUntilItsExpiryAndNotAfter(t *testing.T) {
	store, now := newStore(t, "scs-expiry")
	token := begin(t, store, "encoded_data", now.Add(100*time.Millisecond))
	expectFound(t, store, token, "encoded_data")
	*now = now.Add(101 * time.Millisecond)
	expectMissing(t, store, token)
	if all, err := store.All(); err != nil || all == nil || len(all) != 0 {
		t.Fatalf("listed %v (%v)", all, err)
	}
}

func TestLatchkeyEndsASessionAtItsExpiry(t *testing.T) {
	t.Parallel()
	store, now := newStore(t, "scs-end")
	client := newClient(t)
	begin(t, store, "encoded_data", now.Add(10*time.Second))
	for response, err := range client.Watch(t.Context(), &sessionv1.WatchSessionsRequest{App: "scs-end"}) {
		if err != nil {
			t.Fatal(err)
		}
		if events := response.GetEvents().GetEvents(); len(events) > 0 {
			if reason := events[0].GetEndReason(); reason != sessionv1.EndReason_END_REASON_ABSOLUTE && reason != sessionv1.EndReason_END_REASON_IDLE {
				t.Fatalf("it told %v", events[0])
			}
			return
		}
	}
}

func TestDeleteEndsASessionAndIsNoErrorWithoutOne(t *testing.T) {
	store, _ := newStore(t, "scs-delete")
	token := begin(t, store, "encoded_data", inAMinute())
	for _, deleted := range []string{token, token, noToken, "missing_session_token", ""} {
		if err := store.Delete(deleted); err != nil {
			t.Fatalf("%q: %v", deleted, err)
		}
	}
	expectMissing(t, store, token)
}

func TestAllListsLiveSessionsWithoutTheirTokens(t *testing.T) {
	store, _ := newStore(t, "scs-all")
	if all, err := store.All(); err != nil || all == nil || len(all) != 0 {
		t.Fatalf("listed %v (%v)", all, err)
	}
	tokens := map[string]string{}
	for _, b := range []string{"one", "two", "three"} {
		tokens[b] = begin(t, store, b, inAMinute())
	}
	all, err := store.All()
	if err != nil || len(all) != 3 {
		t.Fatalf("listed %v (%v)", all, err)
	}
	for listed, b := range all {
		expectMissing(t, store, listed)
		if err := store.Commit(listed, []byte("x"), inAMinute()); !errors.Is(err, errListed) {
			t.Fatalf("writing %s: %v", listed, err)
		}
		if string(b) == "two" {
			if err := store.Delete(listed); err != nil {
				t.Fatal(err)
			}
		}
	}
	expectMissing(t, store, tokens["two"])
	expectFound(t, store, tokens["one"], "one")
}

func TestCommitDoesNotReviveASession(t *testing.T) {
	store, _ := newStore(t, "scs-revive")
	token := begin(t, store, "encoded_data", inAMinute())
	ctx := inRequest(t)
	if _, found, err := store.FindCtx(ctx, token); !found || err != nil {
		t.Fatal(found, err)
	}
	if err := store.Delete(token); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{ctx, t.Context()} {
		if err := store.CommitCtx(ctx, token, []byte("more"), inAMinute()); !errors.Is(err, ErrSessionEnded) {
			t.Fatalf("committed: %v", err)
		}
	}
	expectMissing(t, store, token)
}

func TestSessionIsNotBegunWhereItsTokenCannotBeTold(t *testing.T) {
	store, _ := newStore(t, "scs-outside")
	if err := store.Commit("placeholder", []byte("x"), inAMinute()); !errors.Is(err, errNoRequest) {
		t.Fatal(err)
	}
}

func TestFaultsOfTheServerAreErrors(t *testing.T) {
	client, err := latchkey.NewClient("127.0.0.1:1", latchkey.WithTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := New(client, scs.New(), Options{App: "scs-fault"})
	if _, found, err := store.Find(noToken); found || err == nil {
		t.Fatal("found without a server")
	}
	if err := store.Delete(noToken); err == nil {
		t.Fatal("deleted without a server")
	}
	if err := store.Commit(noToken, []byte("x"), inAMinute()); err == nil || errors.Is(err, ErrSessionEnded) {
		t.Fatal("committed without a server")
	}
	if _, err := store.All(); err == nil {
		t.Fatal("listed without a server")
	}
}

func TestWhatClientsSendIsCleaned(t *testing.T) {
	for sent, want := range map[string]string{"a\tb\xffc": "abc", "하나하나": "하나", "": ""} {
		if got := clean(sent, 8); got != want {
			t.Errorf("%q became %q", sent, got)
		}
	}
}
