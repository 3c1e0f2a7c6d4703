package scsstore

import (
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

type (
	userName string
	userNo   uint32
	uuid     [16]byte
	noID     struct{ A int }
)

func (u uuid) String() string { return hex.EncodeToString(u[:]) }

func init() {
	for _, value := range []any{userName(""), userNo(0), uuid{}, noID{}, []string(nil), time.Duration(0)} {
		gob.Register(value)
	}
}

// save makes a session with the value under userID, as a handler would.
func save(t *testing.T, a *app, value any) error {
	t.Helper()
	ctx, err := a.manager.Load(inRequest(t), "")
	if err != nil {
		t.Fatal(err)
	}
	a.manager.Put(ctx, "userID", value)
	_, _, err = a.manager.Commit(ctx)
	return err
}

func TestUserIDOfAnyTypeThatIsPlainlyAnIDNamesTheUser(t *testing.T) {
	for value, want := range map[any]string{
		42: "42", int64(1<<62 + 1): "4611686018427387905", int8(-1): "-1", uint64(1<<63 + 1): "9223372036854775809",
		2.0: "2", "ann": "ann", userName("named"): "named", userNo(7): "7", uuid{1, 15}: "010f0000000000000000000000000000",
	} {
		a := newApp(t, "scs-ids", Options{})
		if err := save(t, a, value); err != nil {
			t.Errorf("%T: %v", value, err)
		} else if len(a.sessions(t, want)) == 0 {
			t.Errorf("%T: user %s has no session", value, want)
		}
	}
}

func TestUserIDThatIsNoIDIsRefusedAndNothingIsStored(t *testing.T) {
	a := newApp(t, "scs-no-ids", Options{})
	for _, value := range []any{
		true, 1.5, []byte("ann"), []string{"ann"}, []any{1}, map[string]any{"id": 1}, noID{1}, time.Unix(1, 0), time.Second,
		struct{ ID int }{1}, "anonymous:ann",
	} {
		if err := save(t, a, value); err == nil {
			t.Errorf("%T was taken", value)
		}
	}
	if all, err := a.store.All(); err != nil || len(all) != 0 {
		t.Fatalf("stored %v (%v)", all, err)
	}
}

func TestSessionFromBeforeALoginWithANumberIsEnded(t *testing.T) {
	a := newApp(t, "scs-planted", Options{})
	b := a.browser(t)
	b.visit("/put?key=a&value=1")
	planted := b.cookie()
	ctx, err := a.manager.Load(inRequest(t), planted)
	if err != nil {
		t.Fatal(err)
	}
	a.manager.Put(ctx, "userID", int64(42))
	if _, _, err := a.manager.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	expectMissing(t, a.store, planted)
	if own := a.sessions(t, "42"); len(own) != 1 {
		t.Fatalf("user 42 has %v", own)
	}
}

func TestIDsThatAreEmptyAreNobodys(t *testing.T) {
	a := newApp(t, "scs-nobody", Options{})
	for _, value := range []any{"", nil, userName("")} {
		if err := save(t, a, value); err != nil {
			t.Error(fmt.Errorf("%T: %w", value, err))
		}
	}
}
