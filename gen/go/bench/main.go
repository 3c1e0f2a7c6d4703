// Bench measures how many calls of GetSession a second this client makes of a
// server, and prints them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	latchkey "latchkey.dev/go"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

func main() {
	address := flag.String("address", "localhost:50051", "the server's gRPC listener")
	callers := flag.Int("callers", 32, "how many call at once")
	connections := flag.Int("connections", 1, "how many connections they share")
	seconds := flag.Int("seconds", 5, "how long they call, after one second that does not count")
	flag.Parse()

	var requests []*sessionv1.GetSessionRequest
	var clients []*latchkey.Client
	for range *connections {
		client, err := latchkey.NewClient(*address)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		clients = append(clients, client)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range *callers {
		created, err := clients[0].Sessions.CreateSession(ctx, // The server may be starting.
			&sessionv1.CreateSessionRequest{App: "bench", UserId: "ann", Ip: "192.0.2.7"}, grpc.WaitForReady(true))
		if err != nil {
			log.Fatal(err)
		}
		requests = append(requests, &sessionv1.GetSessionRequest{App: "bench", Token: created.GetToken()})
	}

	var calls atomic.Int64
	var all sync.WaitGroup
	over := make(chan struct{})
	for i, request := range requests {
		all.Add(1)
		go func() {
			defer all.Done()
			sessions := clients[i%len(clients)].Sessions
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, err := sessions.GetSession(context.Background(), request); err != nil {
					log.Fatal(err)
				}
				calls.Add(1)
			}
		}()
	}
	time.Sleep(time.Second)
	before, start := calls.Load(), time.Now()
	time.Sleep(time.Duration(*seconds) * time.Second)
	made, took := calls.Load()-before, time.Since(start)
	close(over)
	all.Wait()
	fmt.Printf("%.0f calls a second\n", float64(made)/took.Seconds())
}
