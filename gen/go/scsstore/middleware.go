package scsstore

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

// LoadAndSave is what the manager's LoadAndSave is, with Latchkey's tokens in
// the cookie. It tells Latchkey the address and the user agent of requests:
// behind a proxy, set RemoteAddr before.
//
// It panics if the manager was given another store or codec since New, which
// would hide from Latchkey whose the sessions are.
func (s *Store) LoadAndSave(next http.Handler) http.Handler {
	if _, is := s.manager.Codec.(Codec); !is || s.manager.Store != scs.Store(s) || s.manager.HashTokenInStore {
		panic("scsstore: the manager's Store, Codec and HashTokenInStore are those that New set; set none of them after it")
	}
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
		next.ServeHTTP(response.withAbilities(), response.request)
		response.finish()
	})
}

// responseWriter saves the session before the first byte of the response, which
// its cookie has to precede.
type responseWriter struct {
	http.ResponseWriter
	store    *Store
	request  *http.Request
	saved    bool
	hijacked bool
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
		own := tokenOf(ctx, token)
		if own == "" {
			expiry = time.Time{} // It had expired, and was deleted.
		}
		manager.WriteSessionCookie(ctx, w.ResponseWriter, own, expiry)
	case scs.Destroyed:
		manager.WriteSessionCookie(ctx, w.ResponseWriter, "", time.Time{})
	}
}

// finish saves the session of a handler that wrote nothing, and what a handler
// changed after it hijacked the connection, whose response is no more its own.
func (w *responseWriter) finish() {
	if !w.hijacked {
		w.save()
		return
	}
	ctx, manager := w.request.Context(), w.store.manager
	if manager.Status(ctx) != scs.Modified {
		return
	}
	if _, _, err := manager.Commit(ctx); err != nil {
		manager.ErrorFunc(noResponse{http.Header{}}, w.request, err)
	}
}

// noResponse takes what an ErrorFunc, which also logs, answers to nobody.
type noResponse struct{ header http.Header }

func (n noResponse) Header() http.Header         { return n.header }
func (n noResponse) WriteHeader(int)             {}
func (n noResponse) Write(b []byte) (int, error) { return len(b), nil }

func (w *responseWriter) WriteHeader(status int) {
	// What precedes the response, such as 103 Early Hints, has no cookies.
	if 100 <= status && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
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

// WriteString implements io.StringWriter.
func (w *responseWriter) WriteString(text string) (int, error) {
	if w.save(); w.err != nil {
		return 0, w.err
	}
	return io.WriteString(w.ResponseWriter, text)
}

// ReadFrom implements io.ReaderFrom, by which net/http sends files.
func (w *responseWriter) ReadFrom(from io.Reader) (int64, error) {
	if w.save(); w.err != nil {
		return 0, w.err
	}
	return io.Copy(w.ResponseWriter, from)
}

// Push implements http.Pusher.
func (w *responseWriter) Push(target string, options *http.PushOptions) error {
	if pusher, is := as[http.Pusher](w.ResponseWriter); is {
		return pusher.Push(target, options)
	}
	return http.ErrNotSupported
}

// Unwrap serves http.ResponseController, for deadlines and full duplex.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// flush saves first, for the headers leave with it.
func (w *responseWriter) flush() error {
	if w.save(); w.err != nil {
		return w.err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *responseWriter) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.save(); w.err != nil {
		return nil, nil, w.err
	}
	conn, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = err == nil
	return conn, buffer, err
}

type flusher struct{ w *responseWriter }

func (f flusher) Flush()            { _ = f.w.flush() }
func (f flusher) FlushError() error { return f.w.flush() }

type hijacker struct{ w *responseWriter }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.w.hijack() }

// withAbilities is an http.Flusher and an http.Hijacker where the server's
// writer is one, behind other middleware too, and only there.
func (w *responseWriter) withAbilities() http.ResponseWriter {
	_, flushes := as[http.Flusher](w.ResponseWriter)
	if !flushes {
		_, flushes = as[interface{ FlushError() error }](w.ResponseWriter)
	}
	_, hijacks := as[http.Hijacker](w.ResponseWriter)
	switch {
	case flushes && hijacks:
		return struct {
			*responseWriter
			flusher
			hijacker
		}{w, flusher{w}, hijacker{w}}
	case flushes:
		return struct {
			*responseWriter
			flusher
		}{w, flusher{w}}
	case hijacks:
		return struct {
			*responseWriter
			hijacker
		}{w, hijacker{w}}
	default:
		return w
	}
}

// as finds an ability of a writer, or of one that it wraps.
func as[T any](w http.ResponseWriter) (ability T, is bool) {
	for {
		if ability, is = w.(T); is {
			return ability, true
		}
		wrapper, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !wraps {
			return ability, false
		}
		w = wrapper.Unwrap()
	}
}
