package latchkey

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// keepaliveTime is gRPC's least. It finds a dead connection under a watch;
// liveness finds one under a call.
const (
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// limits are the parts of a call's deadline: how long a connection may be quiet
// under a call before it is probed, how long the probe may take, and how long
// a new connection may. Together they leave time for the call's answer.
type limits struct{ quiet, probe, connect time.Duration }

func limitsOf(timeout time.Duration) limits {
	part := func(tenths time.Duration, least time.Duration) time.Duration {
		return max(least, min(timeout, DefaultTimeout)*tenths/10)
	}
	return limits{
		quiet:   part(3, 100*time.Millisecond),
		probe:   part(2, 100*time.Millisecond),
		connect: part(4, 500*time.Millisecond),
	}
}

// liveness closes connections that answer nothing: a balancer forgot them, or
// the server stands still. gRPC then fails what is under way on them with
// UNAVAILABLE, and what may be repeated moves to a new connection.
//
// gRPC's own keepalive pings at most every 10 s, which is beyond the deadline
// of a call, and TCP_USER_TIMEOUT does not see a middlebox that acknowledges.
type liveness struct {
	limits limits
	// ask makes a call that any server answers at once, and returns the local
	// address of the connection that it went by, nil if by none.
	ask func(context.Context) net.Addr

	mu      sync.Mutex
	conns   map[*trackedConn]struct{}
	probing bool
}

func newLiveness(limits limits) *liveness {
	return &liveness{limits: limits, conns: map[*trackedConn]struct{}{}}
}

// askHealth makes the probe a health check, which needs no permission.
func (l *liveness) askHealth(conn *grpc.ClientConn) {
	health := healthv1.NewHealthClient(conn)
	l.ask = func(ctx context.Context) net.Addr {
		var by peer.Peer
		_, _ = health.Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Peer(&by))
		return by.LocalAddr
	}
}

// watch begins to watch the connections of a call. The function that it returns
// ends that; with false, a call that nothing answered leaves one last look.
func (l *liveness) watch() (end func(answered bool)) {
	began := time.Now()
	var over atomic.Bool
	var timer *time.Timer
	var mu sync.Mutex
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(l.limits.quiet, func() {
		next := l.check(began)
		mu.Lock()
		defer mu.Unlock()
		if !over.Load() {
			timer.Reset(next)
		}
	})
	return func(answered bool) {
		mu.Lock()
		defer mu.Unlock()
		over.Store(true)
		if answered {
			timer.Stop()
		}
	}
}

// check probes the connections that were quiet for too long since began, and
// returns when to look again.
func (l *liveness) check(began time.Time) time.Duration {
	l.mu.Lock()
	next := l.limits.quiet
	var quiet []*trackedConn
	for conn := range l.conns {
		if since := time.Since(conn.heard(began)); since >= l.limits.quiet {
			quiet = append(quiet, conn)
		} else {
			next = min(next, l.limits.quiet-since)
		}
	}
	if len(quiet) == 0 || l.probing {
		l.mu.Unlock()
		return next
	}
	l.probing = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.probing = false
	}()

	asked := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), l.limits.probe)
	defer cancel()
	by := l.ask(ctx)
	for _, conn := range quiet {
		// The probe tells nothing of others: one that the server drains, say.
		if by != nil && conn.LocalAddr().String() == by.String() && !conn.heard(asked).After(asked) {
			_ = conn.Close()
		}
	}
	return l.limits.quiet
}

// trackedConn notes when it was last heard of.
type trackedConn struct {
	net.Conn
	liveness *liveness
	last     atomic.Pointer[time.Time]
}

// heard is when the connection was last heard of, at the earliest `least`.
func (c *trackedConn) heard(least time.Time) time.Time {
	if last := c.last.Load(); last != nil && last.After(least) {
		return *last
	}
	return least
}

func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		now := time.Now()
		c.last.Store(&now)
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.liveness.mu.Lock()
	delete(c.liveness.conns, c)
	c.liveness.mu.Unlock()
	return c.Conn.Close()
}

// trackedCredentials track the connections that are secured by them. A dialer
// would do too, but gRPC sets TCP_USER_TIMEOUT on plain TCP connections only.
type trackedCredentials struct {
	credentials.TransportCredentials
	liveness *liveness
}

func (c trackedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := &trackedConn{Conn: raw, liveness: c.liveness}
	c.liveness.mu.Lock()
	c.liveness.conns[conn] = struct{}{}
	c.liveness.mu.Unlock()
	secured, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err != nil {
		_ = conn.Close()
	}
	return secured, info, err
}

func (c trackedCredentials) Clone() credentials.TransportCredentials {
	return trackedCredentials{c.TransportCredentials.Clone(), c.liveness}
}
