// Package servers runs the servers that this module's tests call: those of
// test/system/clients/servers.ts, which says what they are. It needs Node and a built
// Latchkey, so it works in the clone only.
package servers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Servers are what the program printed, and the way to it.
type Servers struct {
	Servers map[string]struct{ GRPC, HTTP string }
	Keys    map[string]string
	Files   struct{ CA, Cert, Key string }
	RKE     struct{ Domain, WalletPath string }

	commands io.Writer
	answers  *bufio.Reader
}

// Get starts the servers, once for a test program; they end with it. Without
// Node the test is skipped, in CI it fails.
func Get(t *testing.T) *Servers {
	t.Helper()
	servers, err := start()
	if err == nil {
		return servers
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}

// Do gives a command, `stop NAME` or `start NAME`, and waits until it is done.
func (s *Servers) Do(command string) error {
	if _, err := fmt.Fprintln(s.commands, command); err != nil {
		return err
	}
	_, err := s.answers.ReadString('\n')
	return err
}

// Root is the clone's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "..")
}

var start = sync.OnceValues(func() (*Servers, error) {
	// The clone's own Node: the machine's may be too old.
	program := exec.Command(filepath.Join(Root(), "node_modules", ".bin", "node"), "--import", "tsx", "test/system/clients/servers.ts")
	program.Dir = Root()
	program.Stderr = os.Stderr
	commands, err := program.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := program.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := program.Start(); err != nil {
		return nil, fmt.Errorf("the servers need Node: %w", err)
	}
	servers := &Servers{commands: commands, answers: bufio.NewReader(output)}
	line, err := servers.answers.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the servers did not start (in the clone: npm ci && npm run build): %w", err)
	}
	return servers, json.Unmarshal(line, servers)
})
