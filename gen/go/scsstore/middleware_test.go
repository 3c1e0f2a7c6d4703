package scsstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/outage"
)

// serve answers the response of a server that has this handler only.
func serve(t *testing.T, name string, handler func(*scs.SessionManager, http.ResponseWriter, *http.Request)) (*http.Response, *Store) {
	t.Helper()
	a := newApp(t, name, Options{})
	server := httptest.NewServer(a.store.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(a.manager, w, r)
	})))
	t.Cleanup(server.Close)
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response, a.store
}

func TestHeadersDoNotLeaveBeforeTheSessionIsSaved(t *testing.T) {
	for name, send := range map[string]func(http.ResponseWriter) error{
		"write":      func(w http.ResponseWriter) error { _, err := w.Write([]byte("x")); return err },
		"string":     func(w http.ResponseWriter) error { _, err := io.WriteString(w, "x"); return err },
		"copy":       func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("x")); return err },
		"flush":      func(w http.ResponseWriter) error { w.(http.Flusher).Flush(); return nil },
		"controller": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
		"hints":      func(w http.ResponseWriter) error { w.WriteHeader(http.StatusEarlyHints); return nil },
		"nothing":    func(http.ResponseWriter) error { return nil },
	} {
		response, store := serve(t, "scs-headers", func(m *scs.SessionManager, w http.ResponseWriter, r *http.Request) {
			m.Put(r.Context(), "a", name)
			if err := send(w); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if name == "hints" {
				m.Put(r.Context(), "late", "x")
			}
		})
		cookies := response.Cookies()
		if len(cookies) != 1 || !isToken(cookies[0].Value) {
			t.Errorf("%s: %v", name, cookies)
		} else if b, found, err := store.Find(cookies[0].Value); !found || err != nil || !strings.Contains(string(b), name) {
			t.Errorf("%s: stored %s (%v)", name, b, err)
		}
	}
}

func TestHandlerStreamsAndSetsDeadlines(t *testing.T) {
	next := make(chan struct{})
	response, _ := serve(t, "scs-stream", func(m *scs.SessionManager, w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := w.(http.Pusher).Push("/", nil); err != http.ErrNotSupported {
			t.Error(err)
		}
		fmt.Fprintln(w, "one")
		w.(http.Flusher).Flush()
		<-next
		fmt.Fprintln(w, "two")
	})
	lines := bufio.NewReader(response.Body)
	if line, err := lines.ReadString('\n'); line != "one\n" || err != nil {
		t.Fatal(line, err)
	}
	close(next)
	if line, err := lines.ReadString('\n'); line != "two\n" || err != nil {
		t.Fatal(line, err)
	}
}

func TestHijackerSavesBeforeAndAfter(t *testing.T) {
	a := newApp(t, "scs-hijack", Options{})
	b := a.browser(t)
	b.visit("/put?key=a&value=1")
	saved := make(chan struct{})
	inner := a.store.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.manager.Put(r.Context(), "before", "x")
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		expectStored(t, a, b.cookie(), "before")
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		a.manager.Put(r.Context(), "after", "x")
		conn.Close()
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		close(saved)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nCookie: session=%s\r\n\r\n", b.cookie())
	<-saved
	expectStored(t, a, b.cookie(), "after")
}

func expectStored(t *testing.T, a *app, token, key string) {
	t.Helper()
	ctx, err := a.manager.Load(context.Background(), token)
	if err != nil || !a.manager.Exists(ctx, key) {
		t.Errorf("%s is not stored (%v)", key, err)
	}
}

// plain is a writer that can nothing but write.
type plain struct{ http.ResponseWriter }

func TestWriterHasTheAbilitiesOfTheServersWriterAndNoOthers(t *testing.T) {
	a := newApp(t, "scs-plain", Options{})
	a.store.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		if flushes || hijacks || http.NewResponseController(w).Flush() == nil {
			t.Error("it says that it can flush or hijack")
		}
	})).ServeHTTP(plain{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
}

func TestManagerWithAnotherCodecOrStoreIsRefused(t *testing.T) {
	for _, change := range []func(*scs.SessionManager){
		func(m *scs.SessionManager) { m.Codec = scs.GobCodec{} },
		func(m *scs.SessionManager) { m.Store = scs.New().Store },
		func(m *scs.SessionManager) { m.HashTokenInStore = true },
	} {
		a := newApp(t, "scs-changed", Options{})
		change(a.manager)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			a.store.LoadAndSave(http.NotFoundHandler())
		}()
	}
}

func TestOutageIsOneDeadlineAndKeepsTheCookie(t *testing.T) {
	t.Parallel()
	a := newApp(t, "scs-outage", Options{})
	proxy, err := outage.NewProxy(a.client.Target())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	const patience = 2 * time.Second
	client, err := latchkey.NewClient(proxy.Address(), latchkey.WithTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	manager := scs.New()
	store := New(client, manager, Options{App: "scs-outage"})
	handler := store.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 { // As a handler that goes on after errors.
			_ = manager.RenewToken(r.Context())
		}
		manager.Put(r.Context(), "userID", "ann")
	}))
	visit := func(cookie string) (*http.Response, time.Duration) {
		r := httptest.NewRequest("GET", "/", nil)
		if cookie != "" {
			r.Header.Set("Cookie", "session="+cookie)
		}
		w := httptest.NewRecorder()
		began := time.Now()
		handler.ServeHTTP(w, r)
		return w.Result(), time.Since(began)
	}
	first, _ := visit("")
	token := first.Cookies()[0].Value
	proxy.Pause()
	for _, cookie := range []string{token, ""} {
		response, took := visit(cookie)
		if response.StatusCode != http.StatusInternalServerError || len(response.Cookies()) != 0 || took > patience+time.Second/2 {
			t.Fatalf("%d after %v, cookies %v", response.StatusCode, took, response.Cookies())
		}
	}
}
