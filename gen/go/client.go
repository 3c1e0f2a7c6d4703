// Package latchkey is a client of Latchkey, the session service: the generated
// clients of its two services over one connection, with a deadline for every
// call, retries of what is safe to repeat, typed errors, and watches that
// resume by themselves.
//
// Requests and responses are the generated messages of
// latchkey.dev/go/latchkey/session/v1 and latchkey.dev/go/latchkey/rke/v1, whose
// comments are the reference.
package latchkey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	rkev1 "latchkey.dev/go/latchkey/rke/v1"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// DefaultTimeout is how long a unary call whose context has no deadline may
// take, its retries included.
const DefaultTimeout = 5 * time.Second

// Client has the typed clients of one server. It is safe for concurrent use,
// and one is enough for a process: all calls share its connection. Errors of
// calls are *Error.
type Client struct {
	Sessions sessionv1.SessionServiceClient
	RKE      rkev1.RkeServiceClient

	conn    *grpc.ClientConn
	wait    waiter
	timeout time.Duration
	target  string
}

// Option sets one thing of a new client.
type Option func(*options)

type options struct {
	authorization string
	tls           *tls.Config
	timeout       time.Duration
	dial          []grpc.DialOption
	wait          waiter
}

// WithAPIKey sends an account's API key (`lk_…`) with every call. Without
// WithTLS it travels as it is: keep that to loopback.
func WithAPIKey(key string) Option {
	return func(o *options) { o.authorization = "Bearer " + key }
}

// WithPassword sends an account's name and password with every call, under the
// same condition.
func WithPassword(name, password string) Option {
	pair := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
	return func(o *options) { o.authorization = "Basic " + pair }
}

// WithTLS talks TLS. The zero Config trusts the system's authorities; LoadTLS
// makes one of files.
func WithTLS(config *tls.Config) Option {
	return func(o *options) { o.tls = config }
}

// WithTimeout sets another limit than DefaultTimeout.
func WithTimeout(timeout time.Duration) Option {
	return func(o *options) { o.timeout = timeout }
}

// WithDialOptions adds options of gRPC itself, such as interceptors or a dialer.
func WithDialOptions(dial ...grpc.DialOption) Option {
	return func(o *options) { o.dial = append(o.dial, dial...) }
}

// LoadTLS makes a TLS configuration of files in PEM: ca, the authorities to
// trust (the system's if empty), and cert and key, what the client shows to a
// server that asks for a certificate (none if empty).
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s must hold a certificate in PEM", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// NewClient makes a client of the server at address, `host:port`. It connects
// with the first call, and again whenever the connection breaks.
func NewClient(address string, opts ...Option) (*Client, error) {
	o := options{timeout: DefaultTimeout, wait: backOff}
	for _, set := range opts {
		set(&o)
	}
	transport := insecure.NewCredentials()
	if o.tls != nil {
		transport = credentials.NewTLS(o.tls)
	}
	limits := limitsOf(o.timeout)
	live := newLiveness(limits)
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(trackedCredentials{transport, live}),
		// Retries are those of callUnary; what a server's DNS might add stays out.
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		// A server that was away is found again within a second or so, and until
		// then calls fail at once.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: limits.connect,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithChainUnaryInterceptor(callUnary(o.timeout, o.wait, live)),
		grpc.WithChainStreamInterceptor(callStream),
	}
	if o.authorization != "" {
		dial = append(dial, grpc.WithPerRPCCredentials(authorization(o.authorization)))
	}
	conn, err := grpc.NewClient(address, append(dial, o.dial...)...)
	if err != nil {
		return nil, err
	}
	live.askHealth(conn)
	return &Client{
		timeout:  o.timeout,
		target:   address,
		Sessions: sessionv1.NewSessionServiceClient(conn),
		RKE:      rkev1.NewRkeServiceClient(conn),
		conn:     conn,
		wait:     o.wait,
	}, nil
}

// Timeout is how long a unary call may take whose context has no deadline.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Target is the address that the client was made with.
func (c *Client) Target() string { return c.target }

// Close cuts the connection, and what is under way on it with code CANCELED.
func (c *Client) Close() error { return c.conn.Close() }

// authorization is the value of that header, in every call.
type authorization string

func (a authorization) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(a)}, nil
}

func (a authorization) RequireTransportSecurity() bool { return false }
