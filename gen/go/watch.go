package latchkey

import (
	"context"
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
// When the server is away, or the watcher fell behind, the watch goes on after
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
				told, most = true, firstWatchBackoff
			}
			if isResumable(err, told) && c.wait(ctx, 0, most) {
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

// isResumable: LIMIT is also what a caller that is slowed down for wrong
// credentials gets, but only one that was told something fell behind.
func isResumable(err error, told bool) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		return told
	default:
		return err == io.EOF
	}
}
