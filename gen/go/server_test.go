package latchkey

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// server answers what a test tells it to.
type server struct {
	sessionv1.UnimplementedSessionServiceServer

	get    func(context.Context, *sessionv1.GetSessionRequest) error
	update func(context.Context, *sessionv1.UpdateSessionRequest) error
	policy func(context.Context, *sessionv1.SetAppPolicyRequest) error
	watch  func(*sessionv1.WatchSessionsRequest, grpc.ServerStreamingServer[sessionv1.WatchSessionsResponse]) error
}

func (s server) GetSession(ctx context.Context, r *sessionv1.GetSessionRequest) (*sessionv1.GetSessionResponse, error) {
	return &sessionv1.GetSessionResponse{}, s.get(ctx, r)
}

func (s server) UpdateSession(ctx context.Context, r *sessionv1.UpdateSessionRequest) (*sessionv1.UpdateSessionResponse, error) {
	return &sessionv1.UpdateSessionResponse{}, s.update(ctx, r)
}

func (s server) SetAppPolicy(ctx context.Context, r *sessionv1.SetAppPolicyRequest) (*sessionv1.SetAppPolicyResponse, error) {
	return &sessionv1.SetAppPolicyResponse{}, s.policy(ctx, r)
}

func (s server) WatchSessions(r *sessionv1.WatchSessionsRequest, stream grpc.ServerStreamingServer[sessionv1.WatchSessionsResponse]) error {
	return s.watch(r, stream)
}

// clientOf answers a client of the server, which waits for nothing between its
// attempts, and notes how long it would have waited at most.
func clientOf(t *testing.T, s server, opts ...Option) (*Client, *[]time.Duration) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	sessionv1.RegisterSessionServiceServer(grpcServer, s)
	go grpcServer.Serve(listener)
	t.Cleanup(grpcServer.Stop)

	waits := &[]time.Duration{}
	noWait := func(o *options) {
		o.wait = func(ctx context.Context, asked, most time.Duration) bool {
			*waits = append(*waits, max(asked, most))
			return ctx.Err() == nil
		}
	}
	client, err := NewClient(listener.Addr().String(), append([]Option{noWait}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, waits
}
