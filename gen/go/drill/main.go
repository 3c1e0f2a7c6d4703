// Command drill takes a web app of scs through outages of Latchkey, and prints
// what its visitors meet as the rows of a table:
//
//	go run ./drill
//
// It starts a server of its own, from the clone's `npm run build`.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"

	"github.com/alexedwards/scs/v2"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/outage"
	"latchkey.dev/go/internal/servers"
	"latchkey.dev/go/scsstore"
)

// fault is one outage: how it begins and how it ends.
type fault struct {
	name       string
	begin, end func() error
}

func main() {
	log.SetOutput(io.Discard) // scs logs each failure.
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	process, err := servers.NewProcess("memory:")
	if err != nil {
		return err
	}
	defer process.Kill()
	proxy, err := outage.NewProxy(process.GRPC)
	if err != nil {
		return err
	}
	defer proxy.Close()
	do := func(f func()) func() error { return func() error { f(); return nil } }
	nothing := func() error { return nil }
	faults := []fault{
		{"port refuses", do(proxy.Refuse), proxy.Listen},
		{"host silent, old and new connections", do(proxy.Pause), do(proxy.Resume)},
		{"connection forgotten", do(proxy.Forget), nothing},
		{"connections cut", do(proxy.Cut), nothing},
		{"server stopped (SIGSTOP)", func() error { return process.Signal(syscall.SIGSTOP) }, func() error { return process.Signal(syscall.SIGCONT) }},
	}
	fmt.Println("| fault | first visit | the next | cookie | logged in again after |\n|---|---|---|---|--:|")
	for _, fault := range faults {
		if err := drill(proxy.Address(), fault); err != nil {
			return fmt.Errorf("%s: %w", fault.name, err)
		}
	}
	return nil
}

// drill logs a visitor in, and visits during and after the fault.
func drill(address string, fault fault) error {
	client, err := latchkey.NewClient(address)
	if err != nil {
		return err
	}
	defer client.Close()
	manager := scs.New()
	app := scsstore.New(client, manager, scsstore.Options{App: "drill"}).LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			manager.Put(r.Context(), "userID", "ann")
		}
		manager.Put(r.Context(), "seen", int(time.Now().UnixMicro()))
		fmt.Fprint(w, manager.GetString(r.Context(), "userID"))
	}))
	cookie := ""
	visit := func(path string) (answer string, in bool) {
		r := httptest.NewRequest("GET", path, nil)
		r.AddCookie(&http.Cookie{Name: "session", Value: cookie})
		w, began := httptest.NewRecorder(), time.Now()
		app.ServeHTTP(w, r)
		for _, set := range w.Result().Cookies() {
			cookie = set.Value
		}
		return fmt.Sprintf("%d after %.2f s", w.Code, time.Since(began).Seconds()), w.Body.String() == "ann"
	}
	if answer, in := visit("/login"); !in {
		return fmt.Errorf("the login is answered %s", answer)
	}
	before := cookie
	if err := fault.begin(); err != nil {
		return err
	}
	first, _ := visit("/")
	next, _ := visit("/")
	kept := "kept"
	if cookie != before {
		kept = "lost"
	}
	if err := fault.end(); err != nil {
		return err
	}
	ended := time.Now()
	for {
		if _, in := visit("/"); in {
			break
		}
		if time.Since(ended) > time.Minute {
			return fmt.Errorf("the visitor is not logged in again after a minute")
		}
	}
	fmt.Printf("| %s | %s | %s | %s | %.2f s |\n", fault.name, first, next, kept, time.Since(ended).Seconds())
	return nil
}
