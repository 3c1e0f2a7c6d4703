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

// proxies are programs that pass gRPC on, with their configuration: LISTEN and
// SERVER are addresses, PORT is LISTEN's, SERVER_PORT the server's, FOLDER may be written.
var proxies = map[string]struct{ config, arguments string }{
	"nginx": {`daemon off; pid FOLDER/pid; error_log FOLDER/error.log;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c; uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
  server { listen LISTEN http2; location / { grpc_pass grpc://SERVER; grpc_read_timeout 1h; } }
}
`, "-c CONFIG -e FOLDER/error.log"},
	"haproxy": {`defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend near
  bind LISTEN proto h2
  default_backend far
backend far
  server latchkey SERVER proto h2
`, "-q -f CONFIG"},
	"caddy": {`{
  admin off
  auto_https off
  servers {
    protocols h1 h2 h2c
  }
}
http://:PORT {
  bind 127.0.0.1
  reverse_proxy h2c://SERVER {
    flush_interval -1
  }
}
`, "run --adapter caddyfile --config CONFIG"},
	"envoy": {`static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: PORT } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: near
          codec_type: HTTP2
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: far, timeout: 0s } }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: far
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    load_assignment:
      cluster_name: far
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: SERVER_PORT } } } }] }]
`, "-c CONFIG --log-level off --disable-hot-restart"},
}

// start answers the address of a proxy of the server.
func start(t *testing.T, name, server string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	address, err := servers.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	_, port, _ := net.SplitHostPort(address)
	_, serverPort, _ := net.SplitHostPort(server)
	fill := strings.NewReplacer("LISTEN", address, "SERVER_PORT", serverPort, "SERVER", server, "PORT", port,
		"FOLDER", folder, "CONFIG", filepath.Join(folder, "config.yaml")).Replace
	if err := os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(fill(proxies[name].config)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, strings.Fields(fill(proxies[name].arguments))...)
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
