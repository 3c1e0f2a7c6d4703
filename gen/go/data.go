package latchkey

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxExact is the largest integer that all numbers below it are kept exactly with.
const maxExact = 1 << 53

// Data returns values as a session's data. What JSON can say is kept to the
// letter: nil, booleans, strings, finite numbers, slices, and maps whose keys
// are strings. A time.Time becomes its text in RFC 3339, as encoding/json has
// it. All else is an *Error of ReasonInvalid that names the place: numbers that
// are not finite or beyond 2^53, text that is not UTF-8, bytes, structs,
// functions, channels.
func Data(values map[string]any) (*structpb.Struct, error) {
	fields, err := toFields(reflect.ValueOf(values), "data", 0)
	if err != nil {
		return nil, err
	}
	return &structpb.Struct{Fields: fields}, nil
}

// The server takes 32 levels; a value that holds itself has no end.
const maxLevels = 64

func toValue(v reflect.Value, path string, level int) (*structpb.Value, error) {
	if level > maxLevels {
		return nil, refuse(path, "must have at most 32 levels")
	}
	if !v.IsValid() {
		return structpb.NewNullValue(), nil
	}
	switch value := v.Interface().(type) {
	case time.Time:
		text, err := value.MarshalText()
		if err != nil {
			return nil, refuse(path, "must be a time of RFC 3339")
		}
		return structpb.NewStringValue(string(text)), nil
	case json.Number, []byte, json.RawMessage:
		return nil, refuse(path, fmt.Sprintf("is a %T, which JSON has no kind for", value))
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return toValue(v.Elem(), path, level+1)
	case reflect.Bool:
		return structpb.NewBoolValue(v.Bool()), nil
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return nil, refuse(path, "must be UTF-8")
		}
		return structpb.NewStringValue(v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n < -maxExact || n > maxExact {
			return nil, refuse(path, "is beyond 2^53: make it a string")
		}
		return structpb.NewNumberValue(float64(v.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > maxExact {
			return nil, refuse(path, "is beyond 2^53: make it a string")
		}
		return structpb.NewNumberValue(float64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return nil, refuse(path, "must be a finite number")
		}
		return structpb.NewNumberValue(v.Float()), nil
	case reflect.Slice, reflect.Array:
		return toList(v, path, level)
	case reflect.Map:
		if v.IsNil() {
			return structpb.NewNullValue(), nil
		}
		fields, err := toFields(v, path, level)
		if err != nil {
			return nil, err
		}
		return structpb.NewStructValue(&structpb.Struct{Fields: fields}), nil
	default:
		return nil, refuse(path, fmt.Sprintf("is a %s, which JSON has no kind for", v.Type()))
	}
}

func toList(v reflect.Value, path string, level int) (*structpb.Value, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return nil, refuse(path, fmt.Sprintf("is a %s, bytes, which JSON has no kind for", v.Type()))
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		return structpb.NewNullValue(), nil
	}
	list := &structpb.ListValue{}
	for i := range v.Len() {
		item, err := toValue(v.Index(i), fmt.Sprintf("%s[%d]", path, i), level+1)
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, item)
	}
	return structpb.NewListValue(list), nil
}

func toFields(v reflect.Value, path string, level int) (map[string]*structpb.Value, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, refuse(path, "must have strings for keys")
	}
	fields := make(map[string]*structpb.Value, v.Len())
	for keys := v.MapRange(); keys.Next(); {
		key := keys.Key().String()
		if !utf8.ValidString(key) {
			return nil, refuse(path, "must have keys in UTF-8")
		}
		value, err := toValue(keys.Value(), path+"."+key, level+1)
		if err != nil {
			return nil, err
		}
		fields[key] = value
	}
	return fields, nil
}

// checkRequest refuses what would not arrive as it is: data that was not made by
// Data may have numbers that are not finite, or values of no kind.
func checkRequest(request proto.Message) error {
	with, has := request.(interface{ GetData() *structpb.Struct })
	if !has || with.GetData() == nil {
		return nil
	}
	return checkValue(structpb.NewStructValue(with.GetData()), "data")
}

func checkValue(value *structpb.Value, path string) error {
	switch kind := value.GetKind().(type) {
	case nil:
		return refuse(path, "must be a value")
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			return refuse(path, "must be a finite number")
		}
	case *structpb.Value_StringValue:
		if !utf8.ValidString(kind.StringValue) {
			return refuse(path, "must be UTF-8")
		}
	case *structpb.Value_ListValue:
		for i, item := range kind.ListValue.GetValues() {
			if err := checkValue(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case *structpb.Value_StructValue:
		for key, item := range kind.StructValue.GetFields() {
			if !utf8.ValidString(key) {
				return refuse(path, "must have keys in UTF-8")
			}
			if err := checkValue(item, path+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse is the error of a request that is not sent.
func refuse(field, problem string) *Error {
	message := field + " " + problem
	return &Error{
		Code: codes.InvalidArgument, Reason: ReasonInvalid, Message: message,
		Fields: []string{field}, status: status.New(codes.InvalidArgument, message),
	}
}
