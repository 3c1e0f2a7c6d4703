package scsstore

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/scs/v2"

	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// LoadAndSave is what the manager's LoadAndSave is, with Latchkey's tokens in
// the cookie. It tells Latchkey the address and the user agent of requests:
// behind a proxy, set RemoteAddr before.
func (s *Store) LoadAndSave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		token := ""
		if cookie, err := r.Cookie(s.manager.Cookie.Name); err == nil {
			token = cookie.Value
		}
		ctx, err := s.manager.Load(context.WithValue(r.Context(), requestKey{}, newRequest(r)), token)
		if err != nil {
			s.manager.ErrorFunc(w, r, err)
			return
		}
		response := &responseWriter{ResponseWriter: w, store: s, request: r.WithContext(ctx)}
		next.ServeHTTP(response, response.request)
		response.save()
	})
}

// responseWriter saves the session before the first byte of the response, which
// its cookie has to precede.
type responseWriter struct {
	http.ResponseWriter
	store   *Store
	request *http.Request
	saved   bool
	// Saving failed: the response tells that, and what the handler says is dropped.
	err error
}

func (w *responseWriter) save() {
	if w.saved {
		return
	}
	w.saved = true
	ctx, manager := w.request.Context(), w.store.manager
	switch manager.Status(ctx) {
	case scs.Modified:
		token, expiry, err := manager.Commit(ctx)
		if err != nil {
			w.err = err
			manager.ErrorFunc(w.ResponseWriter, w.request, err)
			return
		}
		manager.WriteSessionCookie(ctx, w.ResponseWriter, tokenOf(ctx, token), expiry)
	case scs.Destroyed:
		manager.WriteSessionCookie(ctx, w.ResponseWriter, "", time.Time{})
	}
}

func (w *responseWriter) WriteHeader(status int) {
	if w.save(); w.err == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.save(); w.err != nil {
		return 0, w.err
	}
	return w.ResponseWriter.Write(b)
}

func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type requestKey struct{}

// request is what is known of one HTTP request. Its methods do without it, too.
type request struct {
	address, agent string

	mu sync.Mutex
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
