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
	"errors"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
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
	// UserKey names the value that is the id of the session's user: a string or
	// an integer, of a named type too, or a fmt.Stringer such as a UUID. It is
	// `userID` if empty. A session whose value is of any other type is not saved:
	// that is an error.
	UserKey string
	// IdleTimeout ends sessions that no request read for so long. It costs no
	// writes: use it in place of the manager's, which writes the session at each
	// request. Without it a session lives for the manager's Lifetime.
	//
	// Latchkey keeps lifetimes of whole seconds, from 10 s to 68 years: this one is
	// rounded up, or cut at that. An expiry of scs is kept to the millisecond.
	// Where the app's policy allows less than either, the policy holds.
	IdleTimeout time.Duration
}

// Store implements scs's Store, CtxStore, IterableStore and IterableCtxStore.
type Store struct {
	sessions sessionv1.SessionServiceClient
	manager  *scs.SessionManager
	options  Options
	now      func() time.Time
	// How long one request waits in all for a Latchkey that does not answer.
	patience time.Duration
}

// New makes a store and gives it to the manager, along with its Codec. Tokens
// come to the store as they are: Latchkey itself keeps hashes only.
func New(client *latchkey.Client, manager *scs.SessionManager, options Options) *Store {
	if options.UserKey == "" {
		options.UserKey = "userID"
	}
	store := &Store{sessions: client.Sessions, manager: manager, options: options, now: time.Now, patience: client.Timeout()}
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
	user, err := s.userOf(data)
	if err != nil {
		return err
	}
	if !s.now().Before(expiry) {
		return s.DeleteCtx(ctx, token)
	}
	if !isToken(token) && tokenOf(ctx, token) == "" {
		return s.create(ctx, token, user, data, expiry)
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
	if user == stored.session.GetUserId() || user == "" && isAnonymous(stored.session) {
		return s.update(ctx, token, stored, data, expiry)
	}
	if err := s.create(ctx, token, user, data, expiry); err != nil {
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
	var response *sessionv1.GetSessionResponse
	err := s.call(ctx, func(ctx context.Context) (err error) {
		response, err = s.sessions.GetSession(ctx, &sessionv1.GetSessionRequest{
			App: s.options.App, Token: own, Peek: peek, Ip: from.ip(), UserAgent: from.userAgent(),
		})
		return err
	})
	if latchkey.Reason(err) == latchkey.ReasonNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return from.know(token, own, response.GetSession()), nil
}

func (s *Store) create(ctx context.Context, token, user string, data *structpb.Struct, expiry time.Time) error {
	from := requestOf(ctx)
	if from == nil {
		return errNoRequest
	}
	if user == "" {
		user = newAnonymous()
	}
	idle, absolute := s.lifetimes(expiry)
	return within(idle, absolute, func(idle, absolute *durationpb.Duration) error {
		return s.call(ctx, func(ctx context.Context) error {
			response, err := s.sessions.CreateSession(ctx, &sessionv1.CreateSessionRequest{
				App: s.options.App, UserId: user, Ip: from.ip(), UserAgent: from.userAgent(),
				Data: data, IdleTtl: idle, AbsoluteTtl: absolute,
			})
			if err == nil {
				from.know(token, response.GetToken(), response.GetSession())
			}
			return err
		})
	})
}

// update writes the values that the request changed, so that of requests at
// once each keeps what it wrote of others.
func (s *Store) update(ctx context.Context, token string, stored *stored, data *structpb.Struct, expiry time.Time) error {
	changes := changes(stored.session.GetData(), data)
	if len(changes.Fields) == 0 {
		return nil
	}
	if changes.Fields[expiryKey] != nil {
		if err := s.extend(ctx, stored.token, expiry); err != nil {
			return ended(err)
		}
	}
	return ended(s.call(ctx, func(ctx context.Context) error {
		response, err := s.sessions.UpdateSession(ctx, &sessionv1.UpdateSessionRequest{
			App: s.options.App, Token: stored.token, Data: changes,
		})
		if err == nil {
			requestOf(ctx).know(token, stored.token, response.GetSession())
		}
		return err
	}))
}

// extend moves the end of a session, as far as the app's policy allows.
func (s *Store) extend(ctx context.Context, own string, expiry time.Time) error {
	idle, absolute := s.lifetimes(expiry)
	if s.options.IdleTimeout > 0 {
		idle = nil
	}
	return within(idle, absolute, func(idle, absolute *durationpb.Duration) error {
		if idle == nil && absolute == nil {
			return nil
		}
		return s.call(ctx, func(ctx context.Context) error {
			_, err := s.sessions.ExtendSession(ctx, &sessionv1.ExtendSessionRequest{
				App: s.options.App, Token: own, IdleTtl: idle, AbsoluteTtl: absolute,
			})
			return err
		})
	})
}

func (s *Store) delete(ctx context.Context, own string) error {
	err := s.call(ctx, func(ctx context.Context) error {
		_, err := s.sessions.DeleteSession(ctx, &sessionv1.DeleteSessionRequest{
			App: s.options.App, Target: &sessionv1.DeleteSessionRequest_Token{Token: own}, AllowMissing: true,
		})
		return err
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

// load answers what was committed, unless it expired.
func (s *Store) load(session *sessionv1.Session) ([]byte, bool) {
	b, expiry, err := fromData(session.GetData())
	if err != nil || !s.now().Before(expiry) {
		return nil, false
	}
	return b, true
}
