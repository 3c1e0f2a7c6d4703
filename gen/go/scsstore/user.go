package scsstore

import (
	"crypto/rand"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// anonymous begins the user_id of a session that has no user. What follows is
// random, so that no limit on a user's sessions holds for all of these together.
const anonymous = "anonymous:"

func newAnonymous() string { return anonymous + rand.Text() }

func isAnonymous(session *sessionv1.Session) bool {
	return strings.HasPrefix(session.GetUserId(), anonymous)
}

// userOf returns the id of the user whom the values name, empty if they name
// none. An id of a type that is no id's is an error: the session would be
// nobody's, and ending the user's sessions would end none.
func (s *Store) userOf(data *structpb.Struct) (string, error) {
	stored := data.Fields[s.options.UserKey]
	if stored == nil {
		return "", nil
	}
	value, err := fromStored(stored)
	if err != nil {
		return "", fmt.Errorf("scsstore: the value of %q: %w", s.options.UserKey, err)
	}
	id, ok := idOf(value)
	if !ok || strings.HasPrefix(id, anonymous) {
		return "", fmt.Errorf("scsstore: the value of %q, a %T, must be a user's id: a string, an integer or a fmt.Stringer such as a UUID", s.options.UserKey, value)
	}
	return id, nil
}

// idOf returns false for what is not plainly an id. A nil and an empty string
// are the id of no user.
func idOf(value any) (string, bool) {
	switch value.(type) {
	case nil:
		return "", true
	case time.Time, time.Duration:
		return "", false
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), true
	case reflect.Float32, reflect.Float64:
		whole := v.Float() == math.Trunc(v.Float()) && math.Abs(v.Float()) <= maxExact
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), whole
	}
	if text, is := value.(fmt.Stringer); is {
		id := text.String()
		return id, id != ""
	}
	return "", false
}
