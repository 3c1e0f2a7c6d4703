package scsstore

import (
	"encoding/gob"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type cart struct{ Tea int }

func init() { gob.Register(cart{}) }

func TestValuesComeBackEqualAndOfTheSameType(t *testing.T) {
	values := map[string]any{
		"text": "하나 👩‍👩‍👧", "empty": "", "yes": true, "no": false,
		"int": 42, "negative": -1, "exact": 1 << 53, "large": math.MaxInt64, "int64": int64(7),
		"fraction": 0.5, "whole": 2.0, "infinite": math.Inf(1), "zero": math.Copysign(0, -1),
		"bytes": []byte{0, 255}, "time": time.Unix(1, 2).UTC(), "struct": cart{3}, "invalid": "\xff",
		"list": []any{1, "a", nil, []any{}}, "object": map[string]any{"a": map[string]any{"b": 1.5}},
		"packed": map[string]any{packedKey: "x"}, "int64s": []any{int64(1)}, "strings": []string{"a"},
		"foreign": Packed("from another language"), "nil": nil,
	}
	deadline := time.UnixMilli(1_700_000_000_123).UTC()
	b, err := Codec{}.Encode(deadline, values)
	if err != nil {
		t.Fatal(err)
	}
	gotDeadline, got, err := Codec{}.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !gotDeadline.Equal(deadline) {
		t.Errorf("the deadline is %v", gotDeadline)
	}
	for key, value := range values {
		if !reflect.DeepEqual(got[key], value) {
			t.Errorf("%s is %#v, not %#v", key, got[key], value)
		}
	}
	if len(got) != len(values) {
		t.Errorf("%d values, not %d", len(got), len(values))
	}
}

func TestWhatJSONHasIsStoredAsItIs(t *testing.T) {
	b, err := Codec{}.Encode(time.UnixMilli(5), map[string]any{
		"user": "ann", "cart": map[string]any{"tea": 2, "list": []any{0.5, true, nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		deadlineKey: 5.0, "user": "ann", "cart": map[string]any{"tea": 2.0, "list": []any{0.5, true, nil}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("stored %v", got)
	}
}

func TestValuesNestedTooDeepForTheServerArePacked(t *testing.T) {
	deep := []any{1}
	for range 40 {
		deep = []any{deep}
	}
	b, err := Codec{}.Encode(time.Now(), map[string]any{"deep": deep})
	if err != nil || strings.Contains(string(b), "[[") {
		t.Fatalf("%s, %v", b, err)
	}
	_, got, err := Codec{}.Decode(b)
	if err != nil || !reflect.DeepEqual(got["deep"], deep) {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestWhatCannotBeStoredIsNamed(t *testing.T) {
	for key, value := range map[string]any{
		"unregistered": struct{ A int }{1}, "\xff": "x", deadlineKey: 1, expiryKey: 1, packedKey: "x",
	} {
		if _, err := (Codec{}).Encode(time.Now(), map[string]any{key: value}); err == nil || !strings.HasPrefix(err.Error(), "scsstore: ") {
			t.Errorf("%q: %v", key, err)
		}
	}
}
