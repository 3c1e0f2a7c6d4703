package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Process is a server of its own, which can be killed and started again.
type Process struct {
	// GRPC is its address.
	GRPC  string
	store string

	program *exec.Cmd
}

// NewProcess starts a server that keeps sessions in store, as LATCHKEY_STORE says it.
func NewProcess(store string) (*Process, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	p := &Process{GRPC: address, store: store}
	return p, p.Start()
}

// FreeAddress is one of loopback at which nothing listens.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// Start starts it and waits until it listens.
func (p *Process) Start() error {
	p.program = exec.Command(filepath.Join(Root(), "node_modules", ".bin", "node"), "dist/src/bin.js", "serve")
	p.program.Dir = Root()
	p.program.Env = append(os.Environ(),
		"LATCHKEY_STORE="+p.store, "LATCHKEY_GRPC="+p.GRPC, "LATCHKEY_HTTP=127.0.0.1:0", "LATCHKEY_COMMAND=off")
	if err := p.program.Start(); err != nil {
		return fmt.Errorf("a server needs the clone's npm ci && npm run build: %w", err)
	}
	if err := Await(p.GRPC); err != nil {
		p.Kill()
		return err
	}
	return nil
}

// Await waits until something listens at the address.
func Await(address string) error {
	var err error
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		var conn net.Conn
		if conn, err = net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nothing listens: %w", err)
}

// Signal sends it a signal.
func (p *Process) Signal(signal os.Signal) error { return p.program.Process.Signal(signal) }

// Kill ends it without a word, by SIGKILL.
func (p *Process) Kill() {
	_ = p.program.Process.Kill()
	_ = p.program.Wait()
}
