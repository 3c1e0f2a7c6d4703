// Package scenarios plays the table of test/system/clients, whose README.md says what
// everything in it means, with this module's client.
package scenarios

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	latchkey "latchkey.dev/go"
	"latchkey.dev/go/internal/servers"
	rkev1 "latchkey.dev/go/latchkey/rke/v1"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

type scenario struct {
	Title  string
	Server string
	As     string
	// Of no matter to Go, which speaks nothing else.
	GRPCOnly bool
	Steps    []step
}

type step struct {
	Call, Watch, Next, Close string
	Stop, Start, Raw         bool
	As                       string
	DeadlineMs               int
	CancelAfterMs            int
	Request                  any
	Stream                   []any
	Expect                   any
	Error                    map[string]any
	Save                     map[string]string
}

func TestScenarios(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(servers.Root(), "test", "system", "clients", "scenarios.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Scenarios []scenario }
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil {
		t.Fatal("the table has what this runner does not know: ", err)
	}
	running := servers.Get(t)
	for _, scenario := range table.Scenarios {
		t.Run(scenario.Title, func(t *testing.T) { play(t, running, scenario) })
	}
}

// stage is what one scenario has while it is played.
type stage struct {
	scenario  scenario
	servers   *servers.Servers
	variables map[string]any
	clients   map[string]*clients
	watches   map[string]*watch
}

// clients are those of one caller.
type clients struct {
	sessions sessionv1.SessionServiceClient
	rke      rkev1.RkeServiceClient
	layer    *latchkey.Client // nil if they are raw.
	conn     io.Closer
}

func play(t *testing.T, running *servers.Servers, scenario scenario) {
	s := &stage{
		scenario: scenario,
		servers:  running,
		variables: map[string]any{
			"app":        "u-" + random(16),
			"unique":     random(32),
			"noToken":    strings.Repeat("0", 64),
			"long":       strings.Repeat("x", 1_100_000),
			"domain":     running.RKE.Domain,
			"walletPath": running.RKE.WalletPath,
		},
		clients: map[string]*clients{},
		watches: map[string]*watch{},
	}
	defer func() {
		for _, w := range s.watches {
			w.cancel()
		}
		for _, client := range s.clients {
			client.conn.Close()
		}
	}()
	for number, step := range scenario.Steps {
		if err := s.step(t.Context(), step); err != nil {
			t.Fatalf("step %d: %v", number+1, err)
		}
	}
}

func (s *stage) step(ctx context.Context, step step) error {
	switch {
	case step.Stop:
		return s.servers.Do("stop " + s.scenario.Server)
	case step.Start:
		return s.servers.Do("start " + s.scenario.Server)
	case step.Close != "":
		s.watches[step.Close].cancel()
		return nil
	case step.Watch != "":
		client, err := s.client(step)
		if err != nil {
			return err
		}
		request := &sessionv1.WatchSessionsRequest{}
		if err := toMessage(s.fill(step.Request), request); err != nil {
			return err
		}
		s.watches[step.Watch] = startWatch(ctx, client.layer, request)
		return nil
	case step.Next != "":
		select {
		case told := <-s.watches[step.Next].told:
			return s.judge(step, told.content, told.err)
		case <-time.After(10 * time.Second):
			return errors.New("the watch told nothing for 10 s")
		}
	default:
		response, err := s.call(ctx, step)
		return s.judge(step, response, err)
	}
}

// call makes the step's call by the method of the generated client.
func (s *stage) call(ctx context.Context, step step) (any, error) {
	client, err := s.client(step)
	if err != nil {
		return nil, err
	}
	if step.DeadlineMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(step.DeadlineMs)*time.Millisecond)
		defer cancel()
	}
	if step.CancelAfterMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		time.AfterFunc(time.Duration(step.CancelAfterMs)*time.Millisecond, cancel)
	}
	switch step.Call {
	case "RkeService/EncryptStream":
		stream, err := client.rke.EncryptStream(ctx)
		if err != nil {
			return nil, err
		}
		return joined(stream, s.fill(step.Stream).([]any), (*rkev1.EncryptStreamResponse).GetCiphertext)
	case "RkeService/DecryptStream":
		stream, err := client.rke.DecryptStream(ctx)
		if err != nil {
			return nil, err
		}
		return joined(stream, s.fill(step.Stream).([]any), (*rkev1.DecryptStreamResponse).GetPlaintext)
	}
	service, name, _ := strings.Cut(step.Call, "/")
	receiver := reflect.ValueOf(client.sessions)
	if service == "RkeService" {
		receiver = reflect.ValueOf(client.rke)
	}
	method := receiver.MethodByName(name)
	request := reflect.New(method.Type().In(1).Elem())
	if err := toMessage(s.fill(step.Request), request.Interface().(proto.Message)); err != nil {
		return nil, err
	}
	answered := method.Call([]reflect.Value{reflect.ValueOf(ctx), request})
	if err, _ := answered[1].Interface().(error); err != nil {
		return nil, err
	}
	return fromMessage(answered[0].Interface().(proto.Message)), nil
}

// client answers the clients of the step's caller.
func (s *stage) client(step step) (*clients, error) {
	as := step.As
	if as == "" {
		as = s.scenario.As
	}
	name := fmt.Sprint(as, step.Raw)
	if s.clients[name] != nil {
		return s.clients[name], nil
	}
	connect := s.connect
	if step.Raw {
		connect = s.connectRaw
	}
	made, err := connect(as)
	if err == nil {
		s.clients[name] = made
	}
	return made, err
}

func (s *stage) connect(as string) (*clients, error) {
	var options []latchkey.Option
	if s.scenario.Server == "tls" || s.scenario.Server == "mtls" {
		files := s.servers.Files
		if as != "certificate" {
			files.Cert, files.Key = "", ""
		}
		tls, err := latchkey.LoadTLS(files.CA, files.Cert, files.Key)
		if err != nil {
			return nil, err
		}
		options = append(options, latchkey.WithTLS(tls))
	}
	if key := s.servers.Keys[as]; key != "" {
		options = append(options, latchkey.WithAPIKey(key))
	}
	client, err := latchkey.NewClient(s.address(), options...)
	if err != nil {
		return nil, err
	}
	return &clients{client.Sessions, client.RKE, client, client}, nil
}

func (s *stage) connectRaw(as string) (*clients, error) {
	if s.scenario.Server != "open" || as != "" {
		return nil, errors.New("this runner makes raw calls without credentials only")
	}
	conn, err := grpc.NewClient(s.address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &clients{sessionv1.NewSessionServiceClient(conn), rkev1.NewRkeServiceClient(conn), nil, conn}, nil
}

func (s *stage) address() string { return s.servers.Servers[s.scenario.Server].GRPC }

// joined sends the requests, and answers the bytes of all responses.
func joined[Request, Response any](
	stream grpc.BidiStreamingClient[Request, Response], requests []any, bytesOf func(*Response) []byte,
) (any, error) {
	for _, content := range requests {
		request := new(Request)
		if err := toMessage(content, any(request).(proto.Message)); err != nil {
			return nil, err
		}
		if err := stream.Send(request); err != nil && err != io.EOF {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var all []byte
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return map[string]any{"joined": base64.StdEncoding.EncodeToString(all)}, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, bytesOf(response)...)
	}
}

// judge compares what came with what the step expects, and keeps what it saves.
func (s *stage) judge(step step, response any, err error) error {
	if step.Error != nil {
		if err == nil {
			return fmt.Errorf("it succeeded with %v", response)
		}
		return match(s.fill(step.Error), errorFields(err), "error")
	}
	if err != nil {
		return err
	}
	if step.Expect != nil {
		if err := match(s.fill(step.Expect), response, "response"); err != nil {
			return err
		}
	}
	for name, path := range step.Save {
		if s.variables[name] = at(response, path); s.variables[name] == nil {
			return fmt.Errorf("%s is not in the response", path)
		}
	}
	return nil
}

func errorFields(err error) any {
	var e *latchkey.Error
	if !errors.As(err, &e) {
		e = latchkey.NewError(status.Convert(err))
	}
	fields := []any{}
	for _, field := range e.Fields {
		fields = append(fields, field)
	}
	metadata := map[string]any{}
	for name, value := range e.Metadata {
		metadata[name] = value
	}
	answered := map[string]any{
		"code":     code.Code_name[int32(e.Code)],
		"message":  e.Message,
		"fields":   fields,
		"metadata": metadata,
	}
	if e.Reason != "" {
		answered["reason"] = e.Reason
	}
	return answered
}

func toMessage(content any, message proto.Message) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, message)
}

func fromMessage(message proto.Message) map[string]any {
	text, err := protojson.Marshal(message)
	content := map[string]any{}
	if err = errors.Join(err, json.Unmarshal(text, &content)); err != nil {
		panic(err) // Such a message cannot have been received.
	}
	return content
}

func random(length int) string {
	return strings.ToLower(rand.Text() + rand.Text())[:length]
}
