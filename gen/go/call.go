package latchkey

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	maxAttempts = 4
	// The longest wait before the second attempt, doubled for each one after it.
	firstBackoff = 200 * time.Millisecond
)

// callUnary gives a call its deadline and its request_id, repeats it if that is
// safe while the server is UNAVAILABLE or says when to come again, and types its
// error.
func callUnary(timeout time.Duration, wait waiter) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		request, repeatable := withRequestID(request.(proto.Message))
		repeatable = repeatable || isRead(method)
		for attempt := 1; ; attempt++ {
			err := invoke(ctx, method, request, response, conn, opts...)
			if err == nil {
				return nil
			}
			failed := NewError(status.Convert(err))
			if !repeatable || !failed.isTransient() || attempt == maxAttempts ||
				!wait(ctx, failed.RetryAfter, firstBackoff<<(attempt-1)) {
				return failed
			}
		}
	}
}

// withRequestID answers the request with a request_id of its own, and whether
// it has one: then it may be repeated. A request that comes without one is
// copied, for a caller may send the same message as another request.
func withRequestID(request proto.Message) (proto.Message, bool) {
	field := request.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil {
		return request, false
	}
	if request.ProtoReflect().Get(field).String() == "" {
		request = proto.Clone(request)
		request.ProtoReflect().Set(field, protoreflect.ValueOfString(rand.Text()))
	}
	return request, true
}

// isRead answers for `/package.Service/Method`.
func isRead(method string) bool {
	name := method[strings.LastIndex(method, "/")+1:]
	for _, verb := range []string{"Get", "BatchGet", "List", "Count", "Discover"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// waiter waits for a random time of at most `most`, or for the time that the
// server asked for, if it did. It answers false, at once, if the context ends
// before.
type waiter func(ctx context.Context, asked, most time.Duration) bool

// backOff is the waiter of every client outside of tests. The time is random, so
// that clients that failed together do not come again together.
func backOff(ctx context.Context, asked, most time.Duration) bool {
	d := asked
	if d == 0 {
		d = mathrand.N(most)
	}
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// callStream types the errors of streams.
func callStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, typed(err)
	}
	return typedStream{stream}, nil
}

type typedStream struct{ grpc.ClientStream }

func (s typedStream) SendMsg(m any) error { return typed(s.ClientStream.SendMsg(m)) }
func (s typedStream) RecvMsg(m any) error { return typed(s.ClientStream.RecvMsg(m)) }
