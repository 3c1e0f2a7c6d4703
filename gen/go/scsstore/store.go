// Package scsstore keeps the sessions of github.com/alexedwards/scs in Latchkey:
//
//	manager := scs.New()
//	sessions := scsstore.New(client, manager, scsstore.Options{App: "shop"})
//	http.ListenAndServe(":4000", sessions.LoadAndSave(mux))
//
// LoadAndSave takes the place of the manager's own; all else is used as scs has
// it.
//
// scs makes a token for a new session itself, and Latchkey never adopts a token
// that a caller made. So scs's is a placeholder, which lasts as long as the
// request that begins the session: the cookie gets the token that Latchkey
// answers, and that is scs's token for the session from then on.
//
// A session belongs to the user whom its values name under Options.UserKey.
// When that changes, a new session with a new token takes the old one's place,
// as after scs's RenewToken, so that no login goes on with a token from before
// it. To log a user out on all devices call DeleteUserSessions, to show him his
// devices ListUserSessions.
package scsstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	latchkey "latchkey.dev/go"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

var (
	// ErrSessionEnded is the error of a request whose session ended while it was
	// under way, by a logout on another device, say. Its changes of the session
	// are lost; the session is not revived.
	ErrSessionEnded = errors.New("scsstore: the session ended while the request was under way")

	errNoRequest = errors.New("scsstore: a session can be begun only inside Store.LoadAndSave, for its token is told there")
	errListed    = errors.New("scsstore: a session that was listed can be deleted but not written: its token is nowhere kept")
)

// Options say how a store keeps sessions.
type Options struct {
	// App is the app's name in Latchkey; required.
	App string
	// UserKey names the value that is the id of the session's user, a string or
	// an int; `userID` if empty.
	UserKey string
	// IdleTimeout ends sessions that no request read for so long. It costs no
	// writes: use it in place of the manager's, which writes the session at each
	// request. Without it a session lives for the manager's Lifetime.
	IdleTimeout time.Duration
}

// Store implements scs's Store, CtxStore, IterableStore and IterableCtxStore.
type Store struct {
	sessions sessionv1.SessionServiceClient
	manager  *scs.SessionManager
	options  Options
	now      func() time.Time
}

// New makes a store and gives it to the manager, along with its Codec. Tokens
// come to the store as they are: Latchkey itself keeps hashes only.
func New(client *latchkey.Client, manager *scs.SessionManager, options Options) *Store {
	if options.UserKey == "" {
		options.UserKey = "userID"
	}
	store := &Store{sessions: client.Sessions, manager: manager, options: options, now: time.Now}
	manager.Store, manager.Codec, manager.HashTokenInStore = store, Codec{}, false
	return store
}

// Token is the request's session's token in Latchkey, such as DeleteUserSessions
// takes to keep the session; empty while the session is not stored.
func (s *Store) Token(ctx context.Context) string { return tokenOf(ctx, s.manager.Token(ctx)) }

// FindCtx implements scs.CtxStore.
func (s *Store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	found, err := s.get(ctx, token, false)
	if found == nil || err != nil {
		return nil, false, err
	}
	b, ok := s.load(found.session)
	return b, ok, nil
}

// CommitCtx implements scs.CtxStore. A session whose token is a placeholder is
// begun, which needs a context of LoadAndSave.
func (s *Store) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	if strings.HasPrefix(token, listed) {
		return errListed
	}
	data, err := toData(b, expiry)
	if err != nil {
		return err
	}
	if !isToken(token) && tokenOf(ctx, token) == "" {
		return s.create(ctx, token, data, expiry)
	}
	stored := requestOf(ctx).known(token)
	if stored == nil {
		if stored, err = s.get(ctx, token, true); err != nil {
			return err
		}
		if stored == nil {
			return ErrSessionEnded
		}
	}
	if user := s.userOf(data); user == stored.session.GetUserId() || user == "" && isAnonymous(stored.session) {
		return s.update(ctx, token, stored, data, expiry)
	}
	if err := s.create(ctx, token, data, expiry); err != nil {
		return err
	}
	return s.delete(ctx, stored.token)
}

// DeleteCtx implements scs.CtxStore.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	if id, ok := strings.CutPrefix(token, listed); ok {
		_, err := s.sessions.DeleteSession(ctx, &sessionv1.DeleteSessionRequest{
			App: s.options.App, Target: &sessionv1.DeleteSessionRequest_SessionId{SessionId: id}, AllowMissing: true,
		})
		return err
	}
	own := tokenOf(ctx, token)
	if own == "" {
		return nil
	}
	requestOf(ctx).forget(token)
	return s.delete(ctx, own)
}

// listed is what the tokens of AllCtx begin with; what follows is a session_id.
const listed = "id:"

// AllCtx implements scs.IterableCtxStore. As Latchkey tells no token in a list,
// its tokens only name sessions, for DeleteCtx: no cookie with one opens any.
func (s *Store) AllCtx(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	request := &sessionv1.ListSessionsRequest{App: s.options.App}
	for {
		page, err := s.sessions.ListSessions(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, session := range page.GetSessions() {
			if b, ok := s.load(session); ok {
				all[listed+session.GetSessionId()] = b
			}
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return all, nil
		}
	}
}

// Find implements scs.Store.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements scs.Store.
func (s *Store) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

// Delete implements scs.Store.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// All implements scs.IterableStore.
func (s *Store) All() (map[string][]byte, error) { return s.AllCtx(context.Background()) }

// get answers nil if there is no such session.
func (s *Store) get(ctx context.Context, token string, peek bool) (*stored, error) {
	own := tokenOf(ctx, token)
	if own == "" {
		return nil, nil
	}
	from := requestOf(ctx)
	response, err := s.sessions.GetSession(ctx, &sessionv1.GetSessionRequest{
		App: s.options.App, Token: own, Peek: peek, Ip: from.ip(), UserAgent: from.userAgent(),
	})
	if latchkey.Reason(err) == latchkey.ReasonNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return from.know(token, own, response.GetSession()), nil
}

func (s *Store) create(ctx context.Context, token string, data *structpb.Struct, expiry time.Time) error {
	from := requestOf(ctx)
	if from == nil {
		return errNoRequest
	}
	user := s.userOf(data)
	if user == "" {
		user = anonymous + rand.Text()
	}
	absolute := s.ttl(expiry)
	idle := absolute
	if s.options.IdleTimeout > 0 {
		idle = durationpb.New(s.options.IdleTimeout)
	}
	response, err := s.sessions.CreateSession(ctx, &sessionv1.CreateSessionRequest{
		App: s.options.App, UserId: user, Ip: from.ip(), UserAgent: from.userAgent(),
		Data: data, IdleTtl: idle, AbsoluteTtl: absolute,
	})
	if err == nil {
		from.know(token, response.GetToken(), response.GetSession())
	}
	return err
}

// update writes the values that the request changed, so that of requests at
// once each keeps what it wrote of others.
func (s *Store) update(ctx context.Context, token string, stored *stored, data *structpb.Struct, expiry time.Time) error {
	changes := changes(stored.session.GetData(), data)
	if len(changes.Fields) == 0 {
		return nil
	}
	if changes.Fields[expiryKey] != nil {
		request := &sessionv1.ExtendSessionRequest{App: s.options.App, Token: stored.token, AbsoluteTtl: s.ttl(expiry)}
		if s.options.IdleTimeout == 0 {
			request.IdleTtl = request.AbsoluteTtl
		}
		if _, err := s.sessions.ExtendSession(ctx, request); err != nil {
			return ended(err)
		}
	}
	response, err := s.sessions.UpdateSession(ctx, &sessionv1.UpdateSessionRequest{
		App: s.options.App, Token: stored.token, Data: changes,
	})
	if err == nil {
		requestOf(ctx).know(token, stored.token, response.GetSession())
	}
	return ended(err)
}

func (s *Store) delete(ctx context.Context, own string) error {
	_, err := s.sessions.DeleteSession(ctx, &sessionv1.DeleteSessionRequest{
		App: s.options.App, Target: &sessionv1.DeleteSessionRequest_Token{Token: own}, AllowMissing: true,
	})
	if latchkey.Reason(err) == latchkey.ReasonNotFound {
		return nil // The token was a stolen one: that ended the session, too.
	}
	return err
}

func ended(err error) error {
	if latchkey.Reason(err) == latchkey.ReasonNotFound {
		return ErrSessionEnded
	}
	return err
}

// ttl is what Latchkey takes, whole seconds and at least 10; what is left of
// expiry in them is kept by load.
func (s *Store) ttl(expiry time.Time) *durationpb.Duration {
	seconds := math.Ceil(expiry.Sub(s.now()).Seconds())
	return durationpb.New(time.Duration(max(10, seconds)) * time.Second)
}

// load answers what was committed, unless it expired.
func (s *Store) load(session *sessionv1.Session) ([]byte, bool) {
	b, expiry, err := fromData(session.GetData())
	if err != nil || !s.now().Before(expiry) {
		return nil, false
	}
	return b, true
}

// anonymous begins the user_id of a session that has no user. What follows is
// random, so that no limit on a user's sessions holds for all of these together.
const anonymous = "anonymous:"

func isAnonymous(session *sessionv1.Session) bool {
	return strings.HasPrefix(session.GetUserId(), anonymous)
}

// userOf answers an empty id if the values name no user.
func (s *Store) userOf(data *structpb.Struct) string {
	switch user := data.Fields[s.options.UserKey].GetKind().(type) {
	case *structpb.Value_StringValue:
		return user.StringValue
	case *structpb.Value_NumberValue:
		return strconv.FormatFloat(user.NumberValue, 'f', -1, 64)
	default:
		return ""
	}
}

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9]{64}$`)

func isToken(token string) bool { return tokenForm.MatchString(token) }

// tokenOf answers Latchkey's token of a session that scs calls token; empty if
// there is none.
func tokenOf(ctx context.Context, token string) string {
	if stored := requestOf(ctx).known(token); stored != nil {
		return stored.token
	}
	if isToken(token) {
		return token
	}
	return ""
}

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
		if !proto.Equal(before.GetFields()[key], value) {
			merge.Fields[key] = value
		}
	}
	return merge
}
