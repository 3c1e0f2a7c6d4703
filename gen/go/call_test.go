package latchkey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

var errAway = status.Error(codes.Unavailable, "away")

func TestReadIsRepeatedUntilItSucceedsWithLongerWaits(t *testing.T) {
	calls := 0
	client, waits := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
		if calls++; calls == 7 {
			return nil
		}
		return errAway
	}})
	if _, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second, time.Second}
	if !slices.Equal(*waits, want) {
		t.Fatalf("waited for at most %v, not %v", *waits, want)
	}
}

func TestReadIsRepeatedUntilTheDeadlineAndFailsWithItsLastError(t *testing.T) {
	calls := 0
	realWait := func(o *options) { o.wait = backOff }
	client, _ := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
		calls++
		return errAway
	}}, realWait, WithTimeout(1500*time.Millisecond))
	_, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{})
	if status.Code(err) != codes.Unavailable || calls < 2 {
		t.Fatalf("got %v after %d calls", err, calls)
	}
}

func TestWriteIsRepeatedUnderOneRequestID(t *testing.T) {
	var ids []string
	client, _ := clientOf(t, server{update: func(_ context.Context, r *sessionv1.UpdateSessionRequest) error {
		ids = append(ids, r.GetRequestId())
		if len(ids) < 3 {
			return errAway
		}
		return nil
	}})
	request := &sessionv1.UpdateSessionRequest{}
	if _, err := client.Sessions.UpdateSession(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 3 || len(ids[0]) < 16 || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Fatalf("request_ids: %q", ids)
	}
	if request.GetRequestId() != "" {
		t.Fatal("the caller's message was changed")
	}
	if _, err := client.Sessions.UpdateSession(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if ids[3] == ids[0] {
		t.Fatal("another call got the same request_id")
	}
}

func TestCallersOwnRequestIDIsSent(t *testing.T) {
	var id string
	client, _ := clientOf(t, server{update: func(_ context.Context, r *sessionv1.UpdateSessionRequest) error {
		id = r.GetRequestId()
		return nil
	}})
	const own = "0123456789abcdef"
	if _, err := client.Sessions.UpdateSession(t.Context(), &sessionv1.UpdateSessionRequest{RequestId: own}); err != nil {
		t.Fatal(err)
	}
	if id != own {
		t.Fatalf("sent %q", id)
	}
}

func TestWriteWithoutRequestIDIsNotRepeated(t *testing.T) {
	calls := 0
	client, _ := clientOf(t, server{policy: func(context.Context, *sessionv1.SetAppPolicyRequest) error {
		calls++
		return errAway
	}})
	if _, err := client.Sessions.SetAppPolicy(t.Context(), &sessionv1.SetAppPolicyRequest{}); err == nil || calls != 1 {
		t.Fatalf("got %v after %d calls", err, calls)
	}
}

func TestCallIsRepeatedWhenTheServerSays(t *testing.T) {
	calls := 0
	client, waits := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
		if calls++; calls == 2 {
			return nil
		}
		later, _ := status.New(codes.ResourceExhausted, "later").WithDetails(
			&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
		return later.Err()
	}})
	if _, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(*waits, []time.Duration{3 * time.Second}) {
		t.Fatalf("waited for %v", *waits)
	}
}

func TestOtherErrorsAreNotRepeated(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.Aborted, codes.NotFound} {
		calls := 0
		client, _ := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
			calls++
			return status.Error(code, "no")
		}})
		_, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{})
		if status.Code(err) != code || calls != 1 {
			t.Fatalf("%v: got %v after %d calls", code, err, calls)
		}
	}
}

func TestCallWhoseAnswerBreaksWithoutAWordOfLatchkeyIsMadeFourTimes(t *testing.T) {
	for _, code := range []codes.Code{codes.Internal, codes.Unknown} {
		calls := 0
		client, _ := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
			calls++
			return status.Error(code, "upstream 10.0.0.7:50051 reset")
		}})
		_, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{})
		if status.Code(err) != code || calls != 4 {
			t.Fatalf("%v: got %v after %d calls", code, err, calls)
		}
		expectNoAddress(t, err, "10.0.0.7")
	}
}

func TestFaultOfTheServerIsNotRepeated(t *testing.T) {
	calls := 0
	client, _ := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
		calls++
		return latchkeyError(codes.Internal, ReasonInternal)
	}})
	if _, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{}); Reason(err) != ReasonInternal || calls != 1 {
		t.Fatalf("got %v after %d calls", err, calls)
	}
}

// latchkeyError is an answer of Latchkey itself.
func latchkeyError(code codes.Code, reason string) error {
	answered, _ := status.New(code, "no").WithDetails(&errdetails.ErrorInfo{Domain: "latchkey", Reason: reason})
	return answered.Err()
}

// expectNoAddress: operators read the address, visitors do not.
func expectNoAddress(t *testing.T, err error, address string) {
	t.Helper()
	said := fmt.Sprintf("%v %s %q %s", err, err, err, status.Convert(err).Message())
	if strings.Contains(said, address) {
		t.Errorf("the error tells the address: %s", said)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Error("failed", "err", err)
	if !strings.Contains(fmt.Sprintf("%+v", err), address) || !strings.Contains(log.String(), address) {
		t.Errorf("operators are not told the address: %+v; %s", err, log.String())
	}
}

func TestEveryReasonOfTheServerHasAConstant(t *testing.T) {
	table, err := os.ReadFile("../../src/domain/error.ts")
	if err != nil {
		t.Fatal(err)
	}
	union, _, _ := strings.Cut(string(table), ";")
	codes := regexp.MustCompile(`\| "(\w+)"`).FindAllStringSubmatch(union, -1)
	if len(codes) < 10 {
		t.Fatalf("found %d codes", len(codes))
	}
	source, err := os.ReadFile("error.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if !strings.Contains(string(source), `= "`+strings.ToUpper(code[1])+`"`) {
			t.Errorf("there is no constant for %s", code[1])
		}
	}
}

func TestCallHasADeadline(t *testing.T) {
	var left time.Duration
	client, _ := clientOf(t, server{get: func(ctx context.Context, _ *sessionv1.GetSessionRequest) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return nil
	}}, WithTimeout(time.Hour))
	if _, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	if left <= 59*time.Minute || left > time.Hour {
		t.Fatalf("%v were left of an hour", left)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
	defer cancel()
	if _, err := client.Sessions.GetSession(ctx, &sessionv1.GetSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	if left <= time.Hour {
		t.Fatalf("%v were left of the caller's three hours", left)
	}
}

func TestNoAttemptFollowsAfterTheDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if backOff(ctx, 0, 1) != true {
		t.Fatal("a wait within the deadline was refused")
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if backOff(ctx, 0, time.Hour) != false || backOff(ctx, time.Hour, 1) != false {
		t.Fatal("a wait beyond the deadline was begun")
	}
}

func TestErrorIsTyped(t *testing.T) {
	client, _ := clientOf(t, server{get: func(context.Context, *sessionv1.GetSessionRequest) error {
		answered, _ := status.New(codes.InvalidArgument, "app must be a name").WithDetails(
			&errdetails.ErrorInfo{Domain: "latchkey", Reason: "INVALID", Metadata: map[string]string{"exchange_reason": "no_srv"}},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "app"}}},
		)
		return answered.Err()
	}})
	_, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *Error", err)
	}
	if e.Code != codes.InvalidArgument || e.Reason != ReasonInvalid || e.Message != "app must be a name" ||
		!slices.Equal(e.Fields, []string{"app"}) || e.Metadata["exchange_reason"] != "no_srv" {
		t.Fatalf("%+v", e)
	}
	if Reason(err) != ReasonInvalid || status.Code(err) != codes.InvalidArgument {
		t.Fatal("the reason or gRPC's code is lost")
	}
	if got := err.Error(); got != "latchkey: InvalidArgument (INVALID): app must be a name" {
		t.Fatalf("it reads %q", got)
	}
}

func TestCredentialsAreSentWithEveryCall(t *testing.T) {
	var sent []string
	answer := func(ctx context.Context, _ *sessionv1.GetSessionRequest) error {
		sent = metadata.ValueFromIncomingContext(ctx, "authorization")
		return nil
	}
	for want, option := range map[string]Option{
		"Bearer lk_1":        WithAPIKey("lk_1"),
		"Basic YW5uOnBhc3M=": WithPassword("ann", "pass"),
	} {
		client, _ := clientOf(t, server{get: answer}, option)
		if _, err := client.Sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sent, []string{want}) {
			t.Fatalf("sent %q, not %q", sent, want)
		}
	}
}
