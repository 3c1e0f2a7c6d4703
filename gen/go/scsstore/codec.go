package scsstore

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// packedKey is the only key of an object that holds a value of Go as text.
	packedKey = "latchkey.packed"
	// deadlineKey is where scs's deadline lies among the values, in Unix milliseconds.
	deadlineKey = "scs.deadline"

	maxExact = 1 << 53
	// Of the server's 32 levels, less those of the data itself and of a packed value.
	maxDepth = 30
)

// Packed is a value that another language packed. It is kept as it is.
type Packed string

// Codec encodes a session's values as a JSON object, which is the session's data
// in Latchkey, so that app servers in other languages read it too. Strings,
// booleans, ints, floats with a fraction, and []any and map[string]any of these
// are stored as JSON has them; any other value by encoding/gob, for which types
// of your own must be registered (gob.Register). A value that gob cannot write
// is an error, and nothing of the session is sent.
type Codec struct{}

// Encode implements scs.Codec.
func (Codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	data := &structpb.Struct{Fields: map[string]*structpb.Value{
		deadlineKey: structpb.NewNumberValue(float64(deadline.UnixMilli())),
	}}
	for key, value := range values {
		if !utf8.ValidString(key) || key == deadlineKey || key == expiryKey || key == packedKey {
			return nil, fmt.Errorf("scsstore: a key must be UTF-8 and not one of the store's own, unlike %q", key)
		}
		stored, ok := toJSON(value, maxDepth)
		if !ok {
			var err error
			if stored, err = pack(value); err != nil {
				return nil, fmt.Errorf("scsstore: the value of %q: %w", key, err)
			}
		}
		data.Fields[key] = stored
	}
	return data.MarshalJSON()
}

// Decode implements scs.Codec.
func (Codec) Decode(b []byte) (time.Time, map[string]any, error) {
	data := &structpb.Struct{}
	if err := data.UnmarshalJSON(b); err != nil {
		return time.Time{}, nil, err
	}
	deadline := time.UnixMilli(int64(data.Fields[deadlineKey].GetNumberValue())).UTC()
	delete(data.Fields, deadlineKey)
	values := make(map[string]any, len(data.Fields))
	for key, stored := range data.Fields {
		value, err := fromStored(stored)
		if err != nil {
			return time.Time{}, nil, fmt.Errorf("scsstore: the value of %q: %w", key, err)
		}
		values[key] = value
	}
	return deadline, values, nil
}

// toJSON answers false for what JSON would not give back equal and of the same
// type, or deeper than depth.
func toJSON(value any, depth int) (*structpb.Value, bool) {
	switch v := value.(type) {
	case string:
		return structpb.NewStringValue(v), utf8.ValidString(v)
	case bool:
		return structpb.NewBoolValue(v), true
	case int:
		return structpb.NewNumberValue(float64(v)), -maxExact <= v && v <= maxExact
	case float64:
		return structpb.NewNumberValue(v), !math.IsNaN(v) && !math.IsInf(v, 0) && v != math.Trunc(v)
	case []any:
		list := &structpb.ListValue{}
		for _, item := range v {
			stored, ok := toJSONItem(item, depth)
			if !ok {
				return nil, false
			}
			list.Values = append(list.Values, stored)
		}
		return structpb.NewListValue(list), v != nil
	case map[string]any:
		fields := map[string]*structpb.Value{}
		for key, item := range v {
			stored, ok := toJSONItem(item, depth)
			if !ok || !utf8.ValidString(key) || key == packedKey {
				return nil, false
			}
			fields[key] = stored
		}
		return structpb.NewStructValue(&structpb.Struct{Fields: fields}), v != nil
	case Packed:
		return packed(string(v)), true
	default:
		return nil, false
	}
}

func toJSONItem(item any, depth int) (*structpb.Value, bool) {
	switch item.(type) {
	case nil:
		return structpb.NewNullValue(), true
	case Packed:
		return nil, false // Only values themselves are unpacked.
	}
	if depth == 0 {
		return nil, false
	}
	return toJSON(item, depth-1)
}

func fromStored(stored *structpb.Value) (any, error) {
	if fields := stored.GetStructValue().GetFields(); len(fields) == 1 && fields[packedKey] != nil {
		return unpack(fields[packedKey].GetStringValue())
	}
	return fromJSON(stored), nil
}

func fromJSON(stored *structpb.Value) any {
	switch kind := stored.GetKind().(type) {
	case *structpb.Value_StringValue:
		return kind.StringValue
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	case *structpb.Value_NumberValue:
		if number := kind.NumberValue; number != math.Trunc(number) || math.Abs(number) > maxExact {
			return number
		}
		return int(kind.NumberValue)
	case *structpb.Value_ListValue:
		list := make([]any, len(kind.ListValue.GetValues()))
		for i, item := range kind.ListValue.GetValues() {
			list[i] = fromJSON(item)
		}
		return list
	case *structpb.Value_StructValue:
		fields := make(map[string]any, len(kind.StructValue.GetFields()))
		for key, item := range kind.StructValue.GetFields() {
			fields[key] = fromJSON(item)
		}
		return fields
	default:
		return nil
	}
}

// packedPrefix tells Go's packed values from those of other languages.
const packedPrefix = "gob:"

type box struct{ Value any }

// They are what apps put into sessions without a thought of gob; time.Time is
// what scs's GetTime returns.
func init() {
	gob.Register(time.Time{})
	gob.Register([]any{})
	gob.Register(map[string]any{})
}

// packedText is the text of a packed value, empty for any other.
func packedText(stored *structpb.Value) string {
	fields := stored.GetStructValue().GetFields()
	if len(fields) != 1 {
		return ""
	}
	return fields[packedKey].GetStringValue()
}

func pack(value any) (*structpb.Value, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(box{value}); err != nil {
		return nil, err
	}
	return packed(packedPrefix + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

func packed(text string) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		packedKey: structpb.NewStringValue(text),
	}})
}

func unpack(text string) (any, error) {
	if len(text) < len(packedPrefix) || text[:len(packedPrefix)] != packedPrefix {
		return Packed(text), nil
	}
	b, err := base64.StdEncoding.DecodeString(text[len(packedPrefix):])
	if err != nil {
		return nil, err
	}
	var unpacked box
	err = gob.NewDecoder(bytes.NewReader(b)).Decode(&unpacked)
	return unpacked.Value, err
}
