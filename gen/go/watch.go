package latchkey

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// The longest wait before a watch is resumed for the first time, doubled up to
// longestWatchBackoff while that fails.
const (
	firstWatchBackoff   = 200 * time.Millisecond
	longestWatchBackoff = 5 * time.Second
)

// Watch tells what happens to the sessions of an app or a user, response by
// response, until the context ends, the loop is left, or the server refuses:
//
//	for response, err := range client.Watch(ctx, request) {
//		if err != nil { … } // The last one.
//		switch content := response.GetContent().(type) { … }
//	}
//
// When the server is away, the stream breaks without a word of Latchkey's (a
// proxy makes any code of that), or the watcher fell behind, the watch goes on after
// the last response that the loop took, so that no event is missed or told
// twice. Where that cannot be, because the server no longer has the events in
// between or a snapshot was cut, the next response is a WatchReset: forget what
// you know, a snapshot follows.
//
// To go on where another process was, set resume_revision to the revision of
// the last response that it handled.
func (c *Client) Watch(ctx context.Context, request *sessionv1.WatchSessionsRequest) iter.Seq2[*sessionv1.WatchSessionsResponse, error] {
	return func(yield func(*sessionv1.WatchSessionsResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		next := proto.Clone(request).(*sessionv1.WatchSessionsRequest)
		begun := false
		for most := firstWatchBackoff; ; most = min(2*most, longestWatchBackoff) {
			stream, err := c.Sessions.WatchSessions(ctx, next)
			told := false
			for err == nil {
				var response *sessionv1.WatchSessionsResponse
				if response, err = stream.Recv(); err != nil {
					break
				}
				if !yield(response, nil) {
					return
				}
				// 0 in half a snapshot: resuming from there is to begin anew.
				next.ResumeRevision = proto.Int64(response.GetRevision())
				told, begun, most = true, true, firstWatchBackoff
			}
			if ctx.Err() == nil && isResumable(err, told, begun) && c.wait(ctx, retryAfter(err), most) {
				continue
			}
			if ctx.Err() != nil {
				err = typed(status.FromContextError(ctx.Err()).Err())
			}
			yield(nil, err)
			return
		}
	}
}

// isResumable says whether a watch may go on after err. told: the stream that
// err ended told something; begun: the watch did.
//
// LIMIT is also what a caller that is slowed down for wrong credentials gets,
// but only one that was told something fell behind.
func isResumable(err error, told, begun bool) bool {
	if err == io.EOF {
		return true
	}
	switch Reason(err) {
	case "":
	case ReasonUnavailable, ReasonOverloaded:
		return true
	case ReasonLimit:
		return told
	default:
		return false
	}
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.ResourceExhausted:
		// The first answer of all: this is no way to a Latchkey. Later it is the
		// answer of a proxy whose server is away.
		return begun
	default:
		return true
	}
}

// retryAfter is how long the server asks to wait, 0 if it says nothing of that.
func retryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
