package scsstore

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

type requestKey struct{}

// request is what is known of one HTTP request. Its methods do without it, too.
type request struct {
	address, agent string

	mu sync.Mutex
	// How long it waited for calls that failed.
	waited time.Duration
	// The sessions that it read or wrote, by what scs calls their tokens.
	sessions map[string]*stored
}

// stored is a session as Latchkey answered it last.
type stored struct {
	token   string
	session *sessionv1.Session
}

func newRequest(r *http.Request) *request {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return &request{
		address:  clean(host, 39),
		agent:    clean(r.UserAgent(), 512),
		sessions: map[string]*stored{},
	}
}

// requestOf answers nil outside of LoadAndSave.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

func (r *request) ip() string {
	if r == nil {
		return ""
	}
	return r.address
}

func (r *request) userAgent() string {
	if r == nil {
		return ""
	}
	return r.agent
}

// call makes a call with what is left of the time that the request may wait for
// a Latchkey that does not answer: one deadline for all of a visit, not one for
// each of its calls.
func (s *Store) call(ctx context.Context, call func(context.Context) error) error {
	r := requestOf(ctx)
	if r == nil {
		return call(ctx)
	}
	r.mu.Lock()
	left := s.patience - r.waited
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	began := time.Now()
	err := call(ctx)
	if err != nil {
		r.mu.Lock()
		r.waited += time.Since(began)
		r.mu.Unlock()
	}
	return err
}

func (r *request) known(token string) *stored {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[token]
}

func (r *request) know(token, own string, session *sessionv1.Session) *stored {
	known := &stored{own, session}
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sessions[token] = known
	}
	return known
}

func (r *request) forget(token string) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.sessions, token)
	}
}

// clean answers at most the given number of bytes of what a client sent, in
// UTF-8 and without control characters, as Latchkey takes it.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
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
