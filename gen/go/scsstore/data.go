package scsstore

import (
	"encoding/base64"
	"errors"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// expiryKey is where the store keeps the expiry, in Unix milliseconds.
const expiryKey = "scs.expiry"

// toData answers a committed JSON object, such as Codec makes, as a session's
// data, and any other bytes as one packed value.
func toData(b []byte, expiry time.Time) (*structpb.Struct, error) {
	data := &structpb.Struct{}
	if err := data.UnmarshalJSON(b); err != nil {
		data = packed(base64.StdEncoding.EncodeToString(b)).GetStructValue()
	}
	data.Fields[expiryKey] = structpb.NewNumberValue(float64(expiry.UnixMilli()))
	return data, nil
}

func fromData(data *structpb.Struct) (b []byte, expiry time.Time, err error) {
	expires := data.GetFields()[expiryKey]
	if expires == nil {
		return nil, expiry, errors.New("scsstore: not a session of scs")
	}
	values := proto.Clone(data).(*structpb.Struct)
	delete(values.Fields, expiryKey)
	if whole := values.Fields[packedKey]; whole != nil {
		b, err = base64.StdEncoding.DecodeString(whole.GetStringValue())
	} else {
		b, err = values.MarshalJSON()
	}
	return b, time.UnixMilli(int64(expires.GetNumberValue())), err
}

// changes is what UpdateSession has to merge into before to make it after.
func changes(before, after *structpb.Struct) *structpb.Struct {
	merge := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for key := range before.GetFields() {
		if after.Fields[key] == nil {
			merge.Fields[key] = structpb.NewNullValue()
		}
	}
	for key, value := range after.Fields {
		if !equal(before.GetFields()[key], value) {
			merge.Fields[key] = value
		}
	}
	return merge
}

// equal compares packed values unpacked too: gob writes maps in any order.
func equal(before, after *structpb.Value) bool {
	if proto.Equal(before, after) {
		return true
	}
	if packedText(before) == "" || packedText(after) == "" {
		return false
	}
	one, err := fromStored(before)
	other, failed := fromStored(after)
	return err == nil && failed == nil && reflect.DeepEqual(one, other)
}
