// Example logs a user in, reads, updates and watches the session, and logs the
// user out; if a wallet is named, it also encrypts and decrypts by RKE.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	latchkey "latchkey.dev/go"
	rkev1 "latchkey.dev/go/latchkey/rke/v1"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

func main() {
	address := flag.String("address", "localhost:50051", "the server's gRPC listener")
	wallet := flag.String("wallet", "", "a wallet inside the server's LATCHKEY_RKE_WALLETS")
	domain := flag.String("domain", "devnet.test", "the Content Server's domain")
	flag.Parse()

	client, err := latchkey.NewClient(*address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := logIn(ctx, os.Stdout, client); err != nil {
		log.Fatal(err)
	}
	if *wallet == "" {
		return
	}
	if err := encrypt(ctx, os.Stdout, client, *domain, *wallet); err != nil {
		log.Fatal(err)
	}
}

func logIn(ctx context.Context, out io.Writer, client *latchkey.Client) error {
	const app = "example"
	created, err := client.Sessions.CreateSession(ctx, &sessionv1.CreateSessionRequest{
		App: app, UserId: "ann", Ip: "192.0.2.7",
	}, grpc.WaitForReady(true)) // The server may be starting.
	if err != nil {
		return err
	}
	token := created.GetToken() // The value of the user's cookie.
	fmt.Fprintln(out, "logged in:", created.GetSession().GetUserId())

	read, err := client.Sessions.GetSession(ctx, &sessionv1.GetSessionRequest{App: app, Token: token})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "reads:", read.GetSession().GetReads())

	return watch(ctx, out, client, app, func() error {
		data, err := structpb.NewStruct(map[string]any{"cart": map[string]any{"tea": 2}})
		if err != nil {
			return err
		}
		if _, err := client.Sessions.UpdateSession(ctx, &sessionv1.UpdateSessionRequest{App: app, Token: token, Data: data}); err != nil {
			return err
		}
		_, err = client.Sessions.DeleteSession(ctx, &sessionv1.DeleteSessionRequest{
			App: app, Target: &sessionv1.DeleteSessionRequest_Token{Token: token},
		})
		if err != nil {
			return err
		}
		_, err = client.Sessions.GetSession(ctx, &sessionv1.GetSessionRequest{App: app, Token: token})
		fmt.Fprintln(out, "after the logout:", latchkey.Reason(err))
		return nil
	})
}

// watch acts once the watch goes on, and prints what happens up to the end of a session.
func watch(ctx context.Context, out io.Writer, client *latchkey.Client, app string, act func() error) error {
	request := &sessionv1.WatchSessionsRequest{App: app, UserId: "ann"}
	for response, err := range client.Watch(ctx, request) {
		if err != nil {
			return err
		}
		switch content := response.GetContent().(type) {
		case *sessionv1.WatchSessionsResponse_SnapshotEnd:
			if err := act(); err != nil {
				return err
			}
		case *sessionv1.WatchSessionsResponse_Events:
			for _, event := range content.Events.GetEvents() {
				fmt.Fprintln(out, "watched:", event.GetType())
				if event.GetType() == sessionv1.SessionEventType_SESSION_EVENT_TYPE_ENDED {
					return nil
				}
			}
		}
	}
	return nil
}

func encrypt(ctx context.Context, out io.Writer, client *latchkey.Client, domain, wallet string) error {
	created, err := client.RKE.CreateSession(ctx, &rkev1.CreateSessionRequest{Domain: domain, WalletPath: wallet})
	if err != nil {
		return err
	}
	id := created.GetSession().GetSessionId()
	sealed, err := client.RKE.Encrypt(ctx, &rkev1.EncryptRequest{
		SessionId: id, Items: []*rkev1.EncryptItem{{Plaintext: []byte("hello")}},
	})
	if err != nil {
		return err
	}
	encrypted := sealed.GetResults()[0].GetEncrypted()
	opened, err := client.RKE.Decrypt(ctx, &rkev1.DecryptRequest{
		SessionId: id, Items: []*rkev1.DecryptItem{{Ciphertext: encrypted.GetCiphertext(), Nonce: encrypted.GetNonce()}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "decrypted: %s\n", opened.GetResults()[0].GetPlaintext())
	_, err = client.RKE.DeleteSession(ctx, &rkev1.DeleteSessionRequest{SessionId: id})
	return err
}
