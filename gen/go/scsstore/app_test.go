package scsstore

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	latchkey "latchkey.dev/go"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// app is a web app as one writes it with scs.
type app struct {
	name    string
	client  *latchkey.Client
	manager *scs.SessionManager
	store   *Store
	server  *httptest.Server
}

func newApp(t *testing.T, name string, options Options) *app {
	t.Helper()
	a := &app{name: name, client: newClient(t), manager: scs.New()}
	options.App = name
	a.store = New(a.client, a.manager, options)
	a.manager.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}

	mux := http.NewServeMux()
	handle := func(path string, handler func(*http.Request) error) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := handler(r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, "ok")
		})
	}
	handle("/put", func(r *http.Request) error {
		a.manager.Put(r.Context(), r.FormValue("key"), r.FormValue("value"))
		return nil
	})
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, a.manager.GetString(r.Context(), r.FormValue("key")))
	})
	handle("/login", func(r *http.Request) error {
		if r.FormValue("renew") != "" {
			if err := a.manager.RenewToken(r.Context()); err != nil {
				return err
			}
		}
		a.manager.Put(r.Context(), "userID", r.FormValue("user"))
		return nil
	})
	handle("/logout", func(r *http.Request) error { return a.manager.Destroy(r.Context()) })
	handle("/logout-others", func(r *http.Request) error {
		_, err := a.client.Sessions.DeleteUserSessions(r.Context(), &sessionv1.DeleteUserSessionsRequest{
			App: name, UserId: a.manager.GetString(r.Context(), "userID"),
			Keep: &sessionv1.DeleteUserSessionsRequest_KeepToken{KeepToken: a.store.Token(r.Context())},
		})
		return err
	})
	handle("/logout-all", func(r *http.Request) error {
		_, err := a.client.Sessions.DeleteUserSessions(r.Context(), &sessionv1.DeleteUserSessionsRequest{
			App: name, UserId: a.manager.GetString(r.Context(), "userID"),
		})
		if err != nil {
			return err
		}
		return a.manager.Destroy(r.Context())
	})
	handle("/commit-late", func(r *http.Request) error {
		a.manager.Put(r.Context(), "late", "x")
		_, err := a.client.Sessions.DeleteAppSessions(r.Context(), &sessionv1.DeleteAppSessionsRequest{App: name})
		return err
	})
	a.server = httptest.NewServer(a.store.LoadAndSave(mux))
	t.Cleanup(a.server.Close)
	return a
}

// browser keeps cookies.
type browser struct {
	*http.Client
	t   *testing.T
	app *app
}

func (a *app) browser(t *testing.T) *browser {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{MaxConnsPerHost: 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{&http.Client{Jar: jar, Transport: transport}, t, a}
}

// visit answers the page's text; the test fails on any status but 200.
func (b *browser) visit(path string) string {
	b.t.Helper()
	status, text := b.try(path)
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, status, text)
	}
	return text
}

func (b *browser) try(path string) (int, string) {
	b.t.Helper()
	request, _ := http.NewRequest("GET", b.app.server.URL+path, nil)
	request.Header.Set("user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0")
	response, err := b.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// cookie is the session's, empty if there is none.
func (b *browser) cookie() string {
	request, _ := http.NewRequest("GET", b.app.server.URL, nil)
	for _, cookie := range b.Jar.Cookies(request.URL) {
		return cookie.Value
	}
	return ""
}

// sessions are those of a user.
func (a *app) sessions(t *testing.T, user string) []*sessionv1.Session {
	t.Helper()
	page, err := a.client.Sessions.ListUserSessions(t.Context(), &sessionv1.ListUserSessionsRequest{App: a.name, UserId: user})
	if err != nil {
		t.Fatal(err)
	}
	return page.GetSessions()
}

func TestAppKeepsASessionFromRequestToRequest(t *testing.T) {
	b := newApp(t, "scs-app", Options{}).browser(t)
	b.visit("/get?key=a")
	if b.cookie() != "" {
		t.Fatal("a session was begun for nothing")
	}
	b.visit("/put?key=a&value=1")
	token := b.cookie()
	if !isToken(token) {
		t.Fatalf("the cookie is %q", token)
	}
	b.visit("/put?key=b&value=하나")
	if b.visit("/get?key=a") != "1" || b.visit("/get?key=b") != "하나" || b.cookie() != token {
		t.Fatal("the session changed")
	}
	b.visit("/logout")
	if b.cookie() != "" || b.visit("/get?key=a") != "" {
		t.Fatal("the session outlived its logout")
	}
}

func TestHundredRequestsAtOnceLoseNothing(t *testing.T) {
	b := newApp(t, "scs-parallel", Options{}).browser(t)
	b.visit("/put?key=a&value=1")
	token := b.cookie()
	var all sync.WaitGroup
	for i := range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if status, text := b.try(fmt.Sprintf("/put?key=k%d&value=%d", i, i)); status != http.StatusOK {
				t.Errorf("%d: %d %s", i, status, text)
			}
		}()
	}
	all.Wait()
	for i := range 100 {
		if got := b.visit(fmt.Sprintf("/get?key=k%d", i)); got != fmt.Sprint(i) {
			t.Fatalf("k%d is %q", i, got)
		}
	}
	if b.cookie() != token {
		t.Fatal("the session changed")
	}
}

func TestRequestsAtOnceKeepEachOthersChanges(t *testing.T) {
	a := newApp(t, "scs-changes", Options{})
	b := a.browser(t)
	b.visit("/put?key=a&value=old")
	b.visit("/put?key=b&value=old")
	load := func() context.Context {
		ctx, err := a.manager.Load(inRequest(t), b.cookie())
		if err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	one, other := load(), load()
	a.manager.Put(one, "a", "new")
	a.manager.Remove(other, "b")
	for _, ctx := range []context.Context{one, other} {
		if _, _, err := a.manager.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if b.visit("/get?key=a") != "new" || b.visit("/get?key=b") != "" {
		t.Fatal("a change is lost")
	}
}

func TestLoginGivesTheSessionANewToken(t *testing.T) {
	for _, login := range []string{"/login?renew=1&user=ann", "/login?user=ann"} {
		a := newApp(t, "scs-login", Options{})
		b := a.browser(t)
		b.visit("/put?key=cart&value=tea")
		before := b.cookie()
		b.visit(login)
		after := b.cookie()
		if before == after || b.visit("/get?key=cart") != "tea" || b.cookie() != after {
			t.Fatalf("%s: the token is the same, or the values are not", login)
		}
		expectMissing(t, a.store, before)
		own := a.sessions(t, "ann")
		if len(own) != 1 || own[0].GetDevice() != "Firefox on Windows" || own[0].GetIp() != "127.0.0.1" {
			t.Fatalf("%s: ann has %v", login, own)
		}
		b.visit("/logout")
	}
}

func TestUserOfASessionMayBeANumber(t *testing.T) {
	a := newApp(t, "scs-number", Options{UserKey: "id"})
	ctx, err := a.manager.Load(inRequest(t), "")
	if err != nil {
		t.Fatal(err)
	}
	a.manager.Put(ctx, "id", 123)
	if _, _, err := a.manager.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if len(a.sessions(t, "123")) != 1 {
		t.Fatal("user 123 has no session")
	}
}

func TestRenewTokenKeepsTheUser(t *testing.T) {
	a := newApp(t, "scs-renew", Options{})
	b := a.browser(t)
	b.visit("/login?user=ann")
	before := b.cookie()
	b.visit("/login?renew=1&user=ann")
	if b.cookie() == before || len(a.sessions(t, "ann")) != 1 {
		t.Fatal("the token is the same, or ann has not one session")
	}
}

func TestUserIsLoggedOutOnOtherDevicesAndOnAll(t *testing.T) {
	a := newApp(t, "scs-devices", Options{})
	desk, phone, other := a.browser(t), a.browser(t), a.browser(t)
	for _, b := range []*browser{desk, phone} {
		b.visit("/login?renew=1&user=ann")
	}
	other.visit("/login?renew=1&user=bob")

	desk.visit("/logout-others")
	if desk.visit("/get?key=userID") != "ann" || phone.visit("/get?key=userID") != "" {
		t.Fatal("not the other device alone was logged out")
	}
	phone.visit("/login?renew=1&user=ann")
	desk.visit("/logout-all")
	if desk.visit("/get?key=userID") != "" || phone.visit("/get?key=userID") != "" {
		t.Fatal("a device is still logged in")
	}
	if other.visit("/get?key=userID") != "bob" {
		t.Fatal("another user was logged out")
	}
}

func TestRequestWhoseSessionEndedMeanwhileFailsAndRevivesNothing(t *testing.T) {
	b := newApp(t, "scs-meanwhile", Options{}).browser(t)
	b.visit("/put?key=a&value=1")
	before := b.cookie()
	status, text := b.try("/commit-late")
	if status != http.StatusInternalServerError || strings.Contains(text, "ok") || b.cookie() != before {
		t.Fatalf("%d %s", status, text)
	}
	if b.visit("/get?key=a") != "" {
		t.Fatal("the session was revived")
	}
}

func TestTokenOfACallersMakingIsNotAdopted(t *testing.T) {
	a := newApp(t, "scs-fixation", Options{})
	for _, made := range []string{noToken, strings.Repeat("A", 43), "x"} {
		b := a.browser(t)
		request, _ := http.NewRequest("GET", a.server.URL, nil)
		b.Jar.SetCookies(request.URL, []*http.Cookie{{Name: "session", Value: made}})
		b.visit("/put?key=a&value=1")
		if !isToken(b.cookie()) || b.cookie() == made {
			t.Fatalf("%q became %q", made, b.cookie())
		}
		expectMissing(t, a.store, made)
	}
}

func TestIdleTimeoutIsKeptByLatchkey(t *testing.T) {
	a := newApp(t, "scs-idle", Options{IdleTimeout: 20 * time.Minute})
	b := a.browser(t)
	b.visit("/login?user=ann")
	session := a.sessions(t, "ann")[0]
	if got := session.GetIdleTtl().AsDuration(); got != 20*time.Minute {
		t.Fatalf("it may be idle for %v", got)
	}
	b.visit("/get?key=a")
	if again := a.sessions(t, "ann")[0]; again.GetVersion() != session.GetVersion() || again.GetReads() != session.GetReads()+1 {
		t.Fatalf("a read wrote: %v", again)
	}
}

func TestManagersIdleTimeoutMovesTheExpiry(t *testing.T) {
	a := newApp(t, "scs-idle2", Options{})
	a.manager.IdleTimeout = time.Hour
	b := a.browser(t)
	b.visit("/login?user=ann")
	before := a.sessions(t, "ann")[0]
	a.manager.IdleTimeout = 2 * time.Hour
	b.visit("/get?key=a")
	after := a.sessions(t, "ann")[0]
	if moved := after.GetExpiresAt().AsTime().Sub(before.GetExpiresAt().AsTime()); moved < 59*time.Minute {
		t.Fatalf("it moved by %v", moved)
	}
}

func TestManagerIterates(t *testing.T) {
	a := newApp(t, "scs-iterate", Options{})
	for _, user := range []string{"ann", "bob"} {
		a.browser(t).visit("/login?user=" + user)
	}
	err := a.manager.Iterate(t.Context(), func(ctx context.Context) error {
		if a.manager.GetString(ctx, "userID") == "ann" {
			return a.manager.Destroy(ctx)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.sessions(t, "ann")) != 0 || len(a.sessions(t, "bob")) != 1 {
		t.Fatal("not ann's session alone was ended")
	}
}
