package scenarios

import (
	"context"

	latchkey "latchkey.dev/go"
	sessionv1 "latchkey.dev/go/latchkey/session/v1"
)

// watch has what a watch told, taken apart.
type watch struct {
	told   chan told
	cancel context.CancelFunc
}

type told struct {
	content any
	err     error
}

func startWatch(ctx context.Context, client *latchkey.Client, request *sessionv1.WatchSessionsRequest) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{told: make(chan told), cancel: cancel}
	tell := func(one told) {
		select {
		case w.told <- one:
		case <-ctx.Done():
		}
	}
	go func() {
		for response, err := range client.Watch(ctx, request) {
			if err != nil {
				tell(told{err: err})
				return
			}
			for _, content := range apart(response) {
				tell(told{content: content})
			}
		}
	}()
	return w
}

func apart(response *sessionv1.WatchSessionsResponse) []any {
	var contents []any
	switch content := response.GetContent().(type) {
	case *sessionv1.WatchSessionsResponse_Snapshot:
		for _, session := range content.Snapshot.GetSessions() {
			contents = append(contents, map[string]any{"session": fromMessage(session)})
		}
	case *sessionv1.WatchSessionsResponse_Events:
		for _, event := range content.Events.GetEvents() {
			contents = append(contents, map[string]any{"event": fromMessage(event)})
		}
	case *sessionv1.WatchSessionsResponse_SnapshotEnd:
		contents = append(contents, map[string]any{"snapshotEnd": map[string]any{}})
	case *sessionv1.WatchSessionsResponse_Reset_:
		contents = append(contents, map[string]any{"reset": map[string]any{}})
	}
	return contents
}
