package latchkey

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What Error.Reason may say; docs/errors.md tells when.
const (
	ReasonInvalid         = "INVALID"
	ReasonUnauthenticated = "UNAUTHENTICATED"
	ReasonForbidden       = "FORBIDDEN"
	ReasonNotFound        = "NOT_FOUND"
	ReasonExists          = "EXISTS"
	ReasonVersionMismatch = "VERSION_MISMATCH"
	ReasonLimit           = "LIMIT"
	ReasonOverloaded      = "OVERLOADED"
	ReasonUnavailable     = "UNAVAILABLE"
	ReasonInternal        = "INTERNAL"
)

// Error is why a call failed. Get it from an error by errors.As, or ask for its
// reason by Reason.
type Error struct {
	// Code is gRPC's.
	Code codes.Code
	// Reason is one of the constants above, and empty where not the server but
	// gRPC failed: it has no connection, or the deadline passed.
	Reason string
	// Message says what was wrong and what would be right, for people.
	Message string
	// Fields are those to blame for ReasonInvalid, named as in the .proto files.
	Fields []string
	// Metadata has `exchange_reason` where RKE's discovery or key exchange failed.
	Metadata map[string]string
	// RetryAfter is how long the server asks to wait before another attempt; 0 if
	// it says nothing of that.
	RetryAfter time.Duration

	// Detail is what gRPC itself said of a connection or an answer that broke,
	// addresses of servers included: for operators, not for visitors. Neither
	// Error nor GRPCStatus tells it; log/slog and the verb %+v do.
	Detail string

	status *status.Status
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("latchkey: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("latchkey: %s (%s): %s", e.Code, e.Reason, e.Message)
}

// GRPCStatus lets status.FromError and status.Code see what gRPC answered.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Format writes, with the verb %+v, the detail too.
func (e *Error) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q':
		fmt.Fprintf(f, "%q", e.Error())
	case verb == 'v' && f.Flag('+') && e.Detail != "":
		fmt.Fprintf(f, "%s (%s)", e.Error(), e.Detail)
	default:
		fmt.Fprint(f, e.Error())
	}
}

// LogValue is the error with its detail, for the log of an operator.
func (e *Error) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%+v", e)) }

// Reason is the reason of an error of a call, empty if it has none.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// NewError reads what gRPC answered. The clients of this package's Client do
// this themselves.
func NewError(answered *status.Status) *Error {
	e := &Error{Code: answered.Code(), Message: answered.Message(), status: answered}
	for _, detail := range answered.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == "latchkey" {
				e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, violation := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, violation.GetField())
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if text, is := broken[e.Code]; is && e.Reason == "" {
		e.Message, e.Detail = text, answered.Message()
		e.status = status.New(e.Code, text)
	}
	return e
}

// broken says what failed where not Latchkey answered but gRPC or a proxy did.
// What they say themselves names addresses, so it is Error.Detail.
var broken = map[codes.Code]string{
	codes.Unavailable:      "the server cannot be reached, or the connection to it broke",
	codes.DeadlineExceeded: "the server did not answer before the deadline",
	codes.Internal:         "the server's answer broke off",
	codes.Unknown:          "the answer is not the server's",
}

// isBreak: not Latchkey answered, and nothing says that it refused.
func (e *Error) isBreak() bool {
	switch e.Code {
	case codes.Unavailable, codes.Internal, codes.Unknown:
		return e.Reason == ""
	default:
		return false
	}
}

// isTransient: the server says, or it is plain, that another attempt may succeed.
func (e *Error) isTransient() bool {
	return e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted && e.RetryAfter > 0
}

// typed leaves nil and the end of a stream as they are.
func typed(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return NewError(status.Convert(err))
}
