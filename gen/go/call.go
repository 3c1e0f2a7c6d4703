package latchkey

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// The longest wait before the second attempt, doubled up to longestBackoff
	// for each one after it.
	firstBackoff   = 200 * time.Millisecond
	longestBackoff = time.Second
	// How often a call is made that breaks in a way that may be its own fault.
	maxBreaks = 4
	// How long a call goes on trying once no connection comes about: enough for
	// a server that is back, and no more where nothing listens.
	connectGrace = 250 * time.Millisecond
)

// callUnary gives a call its deadline and its request_id, refuses data that JSON
// cannot say, repeats the call until its deadline if that is safe and may help,
// and types its error. Where no connection comes about it fails at once.
func callUnary(timeout time.Duration, wait waiter, live *liveness) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if method == healthv1.Health_Check_FullMethodName {
			return invoke(ctx, method, request, response, conn, opts...)
		}
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		if err := checkRequest(request.(proto.Message)); err != nil {
			return err
		}
		message, repeatable := withRequestID(request.(proto.Message))
		repeatable = repeatable || isRead(method)
		attempts := attempts{conn: conn}
		for most := firstBackoff; ; most = min(2*most, longestBackoff) {
			end := live.watch()
			err := invoke(ctx, method, message, response, conn, opts...)
			end(status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.Canceled)
			if err == nil {
				return nil
			}
			failed := NewError(status.Convert(err))
			if _, unsent := proto.Marshal(message); failed.isBreak() && unsent != nil {
				return refuse("request", "must have its strings in UTF-8")
			}
			again, soon := attempts.mayRepeat(failed)
			if soon {
				most = firstBackoff / 4
			}
			if !repeatable || !again || !wait(ctx, failed.RetryAfter, most) {
				return attempts.cause(failed)
			}
		}
	}
}

// attempts is what is known of those of one call.
type attempts struct {
	conn *grpc.ClientConn
	// When first no connection came about.
	unconnected time.Time
	breaks      int
	last        *Error
}

// mayRepeat: another attempt may succeed. soon: as soon as there is a connection.
func (a *attempts) mayRepeat(failed *Error) (again, soon bool) {
	if failed.Code != codes.DeadlineExceeded {
		a.last = failed
	}
	switch {
	case failed.isBreak() && a.conn.GetState() == connectivity.TransientFailure:
		if a.unconnected.IsZero() {
			a.unconnected = time.Now()
		}
		// The last connection attempt may be from before the server was back.
		a.conn.ResetConnectBackoff()
		return time.Since(a.unconnected) < connectGrace, true
	case failed.isTransient():
		return true, false
	case failed.isBreak():
		a.breaks++
		return a.breaks < maxBreaks, false
	default:
		return false, false
	}
}

// cause is the failure that the caller is told: if an attempt had no time left,
// that of the one before.
func (a *attempts) cause(failed *Error) *Error {
	if failed.Code == codes.DeadlineExceeded && a.last != nil {
		return a.last
	}
	return failed
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
