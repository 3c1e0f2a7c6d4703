// Package proxies tries the client behind real proxies, those that are installed.
package proxies

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/servers"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// proxies are programs that pass gRPC on, with their arguments: see
// test/system/clients/proxies, which has their configuration.
var proxies = map[string]string{
	"nginx":   "-c CONFIG -e FOLDER/error.log",
	"haproxy": "-q -f CONFIG",
	"caddy":   "run --adapter caddyfile --config CONFIG",
	"envoy":   "-c CONFIG --log-level off --disable-hot-restart",
}

// start answers the address of a proxy of the server.
func start(t *testing.T, name, server string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	template, err := os.ReadFile(filepath.Join(servers.Root(), "test", "system", "clients", "proxies", name+".conf"))
	if err != nil {
		t.Fatal(err)
	}
	address, port := freePort(t)
	_, httpPort := freePort(t)
	folder := t.TempDir()
	_, serverPort, _ := net.SplitHostPort(server)
	// Nothing calls by HTTP, so that what the proxy has behind it does not matter.
	fill := strings.NewReplacer("GRPC_PORT", port, "HTTP_PORT", httpPort, "GRPC_SERVER", serverPort, "HTTP_SERVER", serverPort,
		"FOLDER", folder, "CONFIG", filepath.Join(folder, "config.yaml")).Replace
	if err := os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(fill(string(template))), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, strings.Fields(fill(proxies[name]))...)
	command.Env = append(os.Environ(), "HOME="+folder)
	said, err := os.Create(filepath.Join(folder, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(os.Interrupt)
		command.Wait()
	})
	if err := servers.Await(address); err != nil {
		text, _ := os.ReadFile(said.Name())
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	return address
}

func freePort(t *testing.T) (address, port string) {
	t.Helper()
	address, err := servers.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return address, port
}

func TestWatchResumesBehindAProxyWhoseServerIsKilled(t *testing.T) {
	if _, err := os.Stat(filepath.Join(servers.Root(), "dist")); err != nil {
		t.Skip("Latchkey is not built")
	}
	for name := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				t.Skipf("%s is not installed", name)
			}
			server, err := servers.NewProcess("sqlite:" + filepath.Join(t.TempDir(), "latchkey.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Kill() })
			client, err := latchkey.NewClient(start(t, name, server.GRPC))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			resume(t, name, client, server)
		})
	}
}

// resume kills the server under a watch and two calls, and expects the watch to
// tell once, and in order, what happens before and after.
func resume(t *testing.T, name string, client *latchkey.Client, server *servers.Process) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	users := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		for response, err := range client.Watch(ctx, &sessionv1.WatchSessionsRequest{App: "proxied"}) {
			if err != nil {
				ended <- err
				return
			}
			if response.GetSnapshotEnd() != nil {
				users <- "snapshot"
			}
			for _, event := range response.GetEvents().GetEvents() {
				users <- event.GetUserId()
			}
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-users:
			if got != want {
				t.Fatalf("told %q, not %q", got, want)
			}
		case err := <-ended:
			t.Fatalf("the watch ended: %+v", err)
		case <-ctx.Done():
			t.Fatalf("%q was not told", want)
		}
	}
	create := func(user string) error {
		_, err := client.Sessions.CreateSession(ctx, &sessionv1.CreateSessionRequest{App: "proxied", UserId: user})
		return err
	}
	expect("snapshot")
	for round := range 1 {
		before, after := fmt.Sprintf("before-%d", round), fmt.Sprintf("after-%d", round)
		if err := create(before); err != nil {
			t.Fatal(err)
		}
		expect(before)
		server.Kill()
		began := time.Now()
		short, stop := context.WithTimeout(ctx, time.Second)
		_, err := client.Sessions.GetCurrentSession(short, &sessionv1.GetCurrentSessionRequest{})
		stop()
		t.Logf("%s: a call while the server is away: %+v after %v", name, err, time.Since(began).Round(time.Millisecond))
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		for create(after) != nil && ctx.Err() == nil {
		}
		t.Logf("%s: the first write succeeded after %v", name, time.Since(began).Round(time.Millisecond))
		expect(after)
		t.Logf("%s: the watch told it after %v", name, time.Since(began).Round(time.Millisecond))
	}
}
