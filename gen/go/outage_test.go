package latchkey

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"latchkey.dev/go/internal/outage"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// through answers a client of the server behind a proxy.
func through(t *testing.T, s server, opts ...Option) (*Client, *outage.Proxy) {
	t.Helper()
	behind, _ := clientOf(t, s)
	proxy, err := outage.NewProxy(behind.Target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	client, err := NewClient(proxy.Address(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, proxy
}

var anyGet = func(context.Context, *sessionv1.GetSessionRequest) error { return nil }

func get(ctx context.Context, client *Client) error {
	_, err := client.Sessions.GetSession(ctx, &sessionv1.GetSessionRequest{})
	return err
}

func TestCallOnAConnectionThatWasForgottenMovesToANewOneWithinItsDeadline(t *testing.T) {
	t.Parallel()
	client, proxy := through(t, server{get: anyGet})
	if err := get(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	proxy.Forget()
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := get(t.Context(), client); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
}

func TestForgottenConnectionIsFoundByCallsOfAShorterDeadlineToo(t *testing.T) {
	t.Parallel()
	client, proxy := through(t, server{get: anyGet})
	if err := get(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	proxy.Forget()
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := get(ctx, client)
		cancel()
		if err == nil {
			return
		}
		if tries == 5 {
			t.Fatal(err)
		}
	}
}

func TestSlowCallOnALiveConnectionIsLeftAlone(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	client, _ := through(t, server{get: func(ctx context.Context, _ *sessionv1.GetSessionRequest) error {
		calls.Add(1)
		select {
		case <-time.After(1500 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	}}, WithTimeout(2*time.Second))
	// Longer than the connection may be quiet, and a probe take.
	if err := get(t.Context(), client); err != nil || calls.Load() != 1 {
		t.Fatalf("%v after %d calls", err, calls.Load())
	}
}

func TestSlowCallOnAConnectionThatItsServerDrainsIsLeftAlone(t *testing.T) {
	t.Parallel()
	began, cut := make(chan struct{}), atomic.Bool{}
	serve := func(address string, get func(context.Context, *sessionv1.GetSessionRequest) error) (*grpc.Server, string) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		sessionv1.RegisterSessionServiceServer(s, server{get: get})
		go s.Serve(listener)
		t.Cleanup(s.Stop)
		return s, listener.Addr().String()
	}
	old, address := serve("127.0.0.1:0", func(ctx context.Context, _ *sessionv1.GetSessionRequest) error {
		close(began)
		select {
		case <-time.After(1600 * time.Millisecond): // Longer than a connection may be quiet, and a probe take.
		case <-ctx.Done():
			cut.Store(true)
		}
		return nil
	})
	client, err := NewClient(address, WithTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ended := make(chan error)
	go func() { ended <- get(t.Context(), client) }()
	<-began
	go old.GracefulStop()
	for { // Until the old server no longer listens.
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
	}
	serve(address, anyGet)
	for done := false; !done; {
		select {
		case err := <-ended:
			if done = true; err != nil || cut.Load() {
				t.Fatalf("the call was cut: %v (%v)", cut.Load(), err)
			}
		case <-time.After(10 * time.Millisecond):
			if err := get(t.Context(), client); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCallFailsAtOnceWhereNothingListensAndGoesOnOnceThereIs(t *testing.T) {
	t.Parallel()
	client, proxy := through(t, server{get: anyGet})
	if err := get(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	for range 3 {
		began := time.Now()
		err := get(t.Context(), client)
		if took := time.Since(began); status.Code(err) != codes.Unavailable || took > time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		expectNoAddress(t, err, proxy.Address())
	}
	if err := proxy.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := get(t.Context(), client); err != nil {
		t.Fatalf("the server is back: %v", err)
	}
}

func TestCallToAHostThatIsSilentFailsWithinItsDeadlineAndTheNextAtOnce(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // It accepts, by its backlog, and says nothing.
	client, err := NewClient(silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, most := range []time.Duration{DefaultTimeout, time.Second} {
		began := time.Now()
		err := get(t.Context(), client)
		if took := time.Since(began); status.Code(err) != codes.Unavailable || took > most {
			t.Fatalf("%v after %v", err, took)
		}
	}
}

func TestConnectionsThatWereClosedAreNotKept(t *testing.T) {
	live := newLiveness(limitsOf(DefaultTimeout))
	here, there := net.Pipe()
	go io.Copy(io.Discard, there)
	conn := &trackedConn{Conn: here, liveness: live}
	live.conns[conn] = struct{}{}
	if conn.Close(); len(live.conns) != 0 {
		t.Fatal("it is kept")
	}
}
