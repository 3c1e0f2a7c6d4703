package main

import (
	"strings"
	"testing"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/servers"
)

const want = `logged in: ann
reads: 2
after the logout: NOT_FOUND
watched: SESSION_EVENT_TYPE_UPDATED
watched: SESSION_EVENT_TYPE_ENDED
decrypted: hello
`

func TestExamplePrintsWhatHappens(t *testing.T) {
	running := servers.Get(t)
	client, err := latchkey.NewClient(running.Servers["open"].GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var out strings.Builder
	if err := logIn(t.Context(), &out, client); err != nil {
		t.Fatal(err)
	}
	if err := encrypt(t.Context(), &out, client, running.RKE.Domain, running.RKE.WalletPath); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Fatalf("it printed\n%s", &out)
	}
}
