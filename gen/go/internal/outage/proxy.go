// Package outage makes the faults of networks and servers that tests and the
// drill need.
package outage

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy passes TCP connections on, until it is told to do otherwise.
type Proxy struct {
	target, address string

	mu       sync.Mutex
	listener net.Listener
	pairs    map[*pair]struct{}
	paused   bool
}

type pair struct {
	near, far net.Conn
	forgotten atomic.Bool
}

// NewProxy makes a proxy of the server at target.
func NewProxy(target string) (*Proxy, error) {
	p := &Proxy{target: target, address: "127.0.0.1:0", pairs: map[*pair]struct{}{}}
	return p, p.Listen()
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.address }

// Listen begins to listen again, at the same address.
func (p *Proxy) Listen() error {
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listener, p.address = listener, listener.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(near)
		}
	}()
	return nil
}

func (p *Proxy) pass(near net.Conn) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		near.Close()
		return
	}
	pair := &pair{near: near, far: far}
	p.mu.Lock()
	pair.forgotten.Store(p.paused)
	p.pairs[pair] = struct{}{}
	p.mu.Unlock()
	go pair.copy(far, near)
	pair.copy(near, far)
}

// copy goes on reading, and acknowledging, once the pair is forgotten.
func (p *pair) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if p.forgotten.Load() {
			if err != nil {
				return
			}
			continue
		}
		if _, failed := to.Write(b[:n]); err != nil || failed != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

// Forget drops, without a word, what comes on the connections that there are;
// new ones are passed on.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.forgotten.Store(true)
	}
}

// Pause drops all that comes, on new connections too.
func (p *Proxy) Pause() {
	p.mu.Lock()
	p.paused = true
	p.mu.Unlock()
	p.Forget()
}

// Resume passes new connections on again.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
}

// Cut closes the connections that there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		closeBoth(pair.near, pair.far)
	}
	clear(p.pairs)
}

// Refuse closes the listener and all connections.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.listener.Close()
	p.mu.Unlock()
	p.Cut()
}

// Close ends it.
func (p *Proxy) Close() { p.Refuse() }

func closeBoth(closers ...io.Closer) {
	for _, closer := range closers {
		closer.Close()
	}
}
