package latchkey

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// turn is one stream of a watch: the responses' revisions, then its end.
type turn struct {
	revisions []int64
	end       error
}

// watchOf answers a client of a server that plays the turns, and where each of
// them was asked to begin.
func watchOf(t *testing.T, turns ...turn) (*Client, *[]*int64) {
	t.Helper()
	begun := &[]*int64{}
	client, _ := clientOf(t, server{watch: func(r *sessionv1.WatchSessionsRequest, stream grpc.ServerStreamingServer[sessionv1.WatchSessionsResponse]) error {
		this := turns[len(*begun)]
		*begun = append(*begun, r.ResumeRevision)
		for _, revision := range this.revisions {
			if err := stream.Send(&sessionv1.WatchSessionsResponse{Revision: revision}); err != nil {
				return err
			}
		}
		return this.end
	}})
	return client, begun
}

var (
	errSlow   = latchkeyError(codes.ResourceExhausted, ReasonLimit)
	errDenied = latchkeyError(codes.PermissionDenied, ReasonForbidden)
)

// watch answers the revisions told, and the watch's end.
func watch(ctx context.Context, client *Client, request *sessionv1.WatchSessionsRequest) (told []int64, end error) {
	for response, err := range client.Watch(ctx, request) {
		if err != nil {
			end = err
		} else {
			told = append(told, response.GetRevision())
		}
	}
	return told, end
}

func expectBegun(t *testing.T, begun []*int64, want ...*int64) {
	t.Helper()
	if len(begun) != len(want) {
		t.Fatalf("%d streams, not %d", len(begun), len(want))
	}
	for i := range want {
		if (begun[i] == nil) != (want[i] == nil) || begun[i] != nil && *begun[i] != *want[i] {
			t.Fatalf("stream %d began at %v", i, begun[i])
		}
	}
}

func TestWatchResumesAfterWhatWasTold(t *testing.T) {
	client, begun := watchOf(t,
		turn{[]int64{0, 7, 9}, errAway}, turn{nil, errAway}, turn{[]int64{12}, errSlow},
		turn{[]int64{13}, nil}, turn{nil, errDenied})
	told, end := watch(t.Context(), client, &sessionv1.WatchSessionsRequest{})
	if len(told) != 5 || status.Code(end) != codes.PermissionDenied {
		t.Fatalf("told %v, ended by %v", told, end)
	}
	expectBegun(t, *begun, nil, proto.Int64(9), proto.Int64(9), proto.Int64(12), proto.Int64(13))
}

func TestWatchResumesAfterAnyBreakWithoutAWordOfLatchkey(t *testing.T) {
	turns := []turn{{[]int64{7}, nil}}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		turns = append(turns, turn{nil, status.Error(code, "a proxy's")})
	}
	client, begun := watchOf(t, append(turns, turn{nil, errDenied})...)
	if _, end := watch(t.Context(), client, &sessionv1.WatchSessionsRequest{}); Reason(end) != ReasonForbidden {
		t.Fatalf("ended by %v", end)
	}
	if len(*begun) != len(turns)+1 || *(*begun)[len(turns)] != 7 {
		t.Fatalf("%d streams of %d", len(*begun), len(turns)+1)
	}
}

func TestWatchThatIsNoWayToALatchkeyEnds(t *testing.T) {
	for _, code := range []codes.Code{codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied} {
		client, begun := watchOf(t, turn{nil, status.Error(code, "a proxy's")})
		if _, end := watch(t.Context(), client, &sessionv1.WatchSessionsRequest{}); status.Code(end) != code {
			t.Fatalf("ended by %v", end)
		}
		expectBegun(t, *begun, nil)
	}
}

func TestWatchBeginsWhereTheCallerSays(t *testing.T) {
	client, begun := watchOf(t, turn{nil, errAway}, turn{nil, errDenied})
	request := &sessionv1.WatchSessionsRequest{ResumeRevision: proto.Int64(5)}
	watch(t.Context(), client, request)
	expectBegun(t, *begun, proto.Int64(5), proto.Int64(5))
}

func TestWatchCutInASnapshotBeginsAnewWithAReset(t *testing.T) {
	client, begun := watchOf(t, turn{[]int64{0}, errAway}, turn{nil, errDenied})
	watch(t.Context(), client, &sessionv1.WatchSessionsRequest{})
	expectBegun(t, *begun, nil, proto.Int64(0))
}

func TestWatchThatIsRefusedForTooManyAttemptsEnds(t *testing.T) {
	client, begun := watchOf(t, turn{nil, errSlow})
	_, end := watch(t.Context(), client, &sessionv1.WatchSessionsRequest{})
	if status.Code(end) != codes.ResourceExhausted {
		t.Fatalf("ended by %v", end)
	}
	expectBegun(t, *begun, nil)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	client, _ := watchOf(t, turn{[]int64{1}, errAway})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var end error
	for _, err := range client.Watch(ctx, &sessionv1.WatchSessionsRequest{}) {
		cancel()
		end = err
	}
	if status.Code(end) != codes.Canceled {
		t.Fatalf("ended by %v", end)
	}
}

func TestWatchEndsWithItsLoop(t *testing.T) {
	left := make(chan struct{})
	client, _ := clientOf(t, server{watch: func(_ *sessionv1.WatchSessionsRequest, stream grpc.ServerStreamingServer[sessionv1.WatchSessionsResponse]) error {
		stream.Send(&sessionv1.WatchSessionsResponse{})
		<-stream.Context().Done()
		close(left)
		return nil
	}})
	for range client.Watch(t.Context(), &sessionv1.WatchSessionsRequest{}) {
		break
	}
	<-left
}
