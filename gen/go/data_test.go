package latchkey

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

type named string

func TestDataKeepsToTheLetterWhatJSONCanSay(t *testing.T) {
	seven := int64(7)
	data, err := Data(map[string]any{
		"nil": nil, "text": "하나", "named": named("a"), "yes": true, "int": int64(-3), "uint": uint16(4), "half": 0.5,
		"time": time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC), "pointer": &seven, "__proto__": map[string]int{"a": 1},
		"list": []string{"a"}, "empty": []any{}, "none": []any(nil), "exact": 1 << 53,
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := structpb.NewStruct(map[string]any{
		"nil": nil, "text": "하나", "named": "a", "yes": true, "int": -3, "uint": 4, "half": 0.5,
		"time": "2026-01-02T03:04:05.6Z", "pointer": 7, "__proto__": map[string]any{"a": 1},
		"list": []any{"a"}, "empty": []any{}, "none": nil, "exact": 1 << 53,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(data, want) {
		t.Fatalf("%v, not %v", data, want)
	}
}

func TestDataRefusesWhatJSONCannotSayAndNamesIt(t *testing.T) {
	circle := []any{nil}
	circle[0] = circle
	for name, value := range map[string]any{
		"NaN": math.NaN(), "infinite": math.Inf(-1), "large": int64(1<<53 + 1), "huge": uint64(math.MaxUint64),
		"text": "\xff", "bytes": []byte("a"), "array": [2]byte{}, "struct": struct{ A int }{}, "func": func() {},
		"chan": make(chan int), "complex": 1i, "keys": map[int]string{}, "circle": circle, "map": map[string]any{"\xff": 1},
	} {
		_, err := Data(map[string]any{"a": map[string]any{name: value}})
		var e *Error
		if !errors.As(err, &e) || e.Reason != ReasonInvalid || len(e.Fields) != 1 || len(e.Fields[0]) < len("data.a."+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDataThatJSONCannotSayIsNotSent(t *testing.T) {
	calls := 0
	client, _ := clientOf(t, server{update: func(context.Context, *sessionv1.UpdateSessionRequest) error {
		calls++
		return nil
	}})
	for _, value := range []*structpb.Value{
		structpb.NewNumberValue(math.NaN()), structpb.NewNumberValue(math.Inf(1)), {}, structpb.NewStringValue("\xff"),
	} {
		data := &structpb.Struct{Fields: map[string]*structpb.Value{
			"a": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{value}}),
		}}
		_, err := client.Sessions.UpdateSession(t.Context(), &sessionv1.UpdateSessionRequest{Data: data})
		var e *Error
		if !errors.As(err, &e) || e.Reason != ReasonInvalid || !slices.Equal(e.Fields, []string{"data.a[0]"}) {
			t.Errorf("%v: %v", value, err)
		}
	}
	_, err := client.Sessions.UpdateSession(t.Context(), &sessionv1.UpdateSessionRequest{App: "\xff"})
	if Reason(err) != ReasonInvalid {
		t.Errorf("text that is not UTF-8: %v", err)
	}
	if calls != 0 {
		t.Fatalf("%d were sent", calls)
	}
}
