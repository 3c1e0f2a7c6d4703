package scsstore

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
)

// TestRandomSequencesGoAsWithMemstore does what apps do with scs, at random, once
// over Latchkey and once over scs's own memstore, and compares what handlers and
// browsers see. LATCHKEY_FUZZ is how many sequences, LATCHKEY_FUZZ_SEED the first
// one's seed:
//
//	LATCHKEY_FUZZ=10000 go test -count=1 -timeout 1h -run Sequences ./scsstore
func TestRandomSequencesGoAsWithMemstore(t *testing.T) {
	sequences, seed := 300, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("LATCHKEY_FUZZ")); err == nil {
		sequences = n
	}
	if n, err := strconv.ParseUint(os.Getenv("LATCHKEY_FUZZ_SEED"), 10, 64); err == nil {
		seed = n
	}
	client := newClient(t)
	ours, theirs := scs.New(), scs.New()
	store := New(client, ours, Options{App: "scs-fuzz"})
	for i := range uint64(sequences) {
		one := newSite(ours, store.LoadAndSave)
		other := newSite(theirs, theirs.LoadAndSave)
		chance := rand.New(rand.NewPCG(seed+i, 0))
		var told strings.Builder
		for range 1 + chance.IntN(8) {
			visit := newVisit(chance)
			got, want := one.play(visit), other.play(visit)
			fmt.Fprintln(&told, visit)
			if got != want {
				t.Fatalf("LATCHKEY_FUZZ_SEED=%d:\n%s\nLatchkey:\n%s\nmemstore:\n%s", seed+i, &told, got, want)
			}
		}
	}
	t.Logf("%d sequences", sequences)
}

// visit is one request: of which browser, and what its handler does.
type visit struct {
	browser int
	writes  bool
	steps   []step
}

type step struct {
	do, key string
	value   any
}

var dos = []string{"put", "put", "put", "get", "remove", "pop", "clear", "destroy", "renew", "remember", "deadline", "past", "merge", "mutate", "login"}

func newVisit(chance *rand.Rand) visit {
	v := visit{browser: chance.IntN(2), writes: chance.IntN(2) == 0}
	for range chance.IntN(5) {
		s := step{do: dos[chance.IntN(len(dos))], key: string(rune('a' + chance.IntN(3)))}
		switch s.do {
		case "put":
			s.value = newValue(chance, 3)
		case "login":
			s.value = []any{"ann", 7, int64(1 << 60), "", userName("bob"), uuid{9}}[chance.IntN(6)]
		}
		v.steps = append(v.steps, s)
	}
	return v
}

func newValue(chance *rand.Rand, depth int) any {
	kinds := 12
	if depth == 0 {
		kinds = 10
	}
	switch chance.IntN(kinds) {
	case 0:
		return chance.IntN(100) - 50
	case 1:
		return chance.Int64()
	case 2:
		return float64(chance.IntN(5))
	case 3:
		return chance.NormFloat64()
	case 4:
		return chance.IntN(2) == 0
	case 5:
		return []string{"", "하나", "\xff", "a\x00b", "__proto__", `"<`}[chance.IntN(6)]
	case 6:
		return []byte{byte(chance.Uint32()), 0}
	case 7:
		return time.Unix(chance.Int64N(1e10), chance.Int64N(1e9)).UTC()
	case 8:
		return []string{"a", "b"}
	case 9:
		return cart{chance.IntN(9)}
	case 10:
		list := []any{}
		for range 1 + chance.IntN(3) {
			list = append(list, newValue(chance, depth-1))
		}
		return list
	default:
		object := map[string]any{}
		for range 1 + chance.IntN(3) {
			object[string(rune('x'+chance.IntN(3)))] = newValue(chance, depth-1)
		}
		return object
	}
}

// site is a web app with two browsers that visit it.
type site struct {
	manager *scs.SessionManager
	handler http.Handler
	cookies [2]string
	visit   visit
	seen    strings.Builder
}

func newSite(manager *scs.SessionManager, middleware func(http.Handler) http.Handler) *site {
	s := &site{manager: manager}
	s.handler = middleware(http.HandlerFunc(s.serve))
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	ctx, m := r.Context(), s.manager
	var err error
	for _, step := range s.visit.steps {
		switch step.do {
		case "put":
			m.Put(ctx, step.key, copyOf(step.value))
		case "login":
			m.Put(ctx, "userID", step.value)
		case "get":
			fmt.Fprintf(&s.seen, "get %#v\n", m.Get(ctx, step.key))
		case "remove":
			m.Remove(ctx, step.key)
		case "pop":
			fmt.Fprintf(&s.seen, "pop %#v\n", m.Pop(ctx, step.key))
		case "clear":
			err = m.Clear(ctx)
		case "destroy":
			err = m.Destroy(ctx)
		case "renew":
			err = m.RenewToken(ctx)
		case "remember":
			m.RememberMe(ctx, true)
		case "deadline":
			m.SetDeadline(ctx, time.Now().Add(time.Hour))
		case "past":
			m.SetDeadline(ctx, time.Now().Add(-time.Hour))
		case "merge":
			err = m.MergeSession(ctx, s.cookies[1-s.visit.browser])
		case "mutate":
			switch value := m.Get(ctx, step.key).(type) {
			case []any:
				value[0] = "changed"
			case map[string]any:
				value["x"] = "changed"
			}
		}
		fmt.Fprintf(&s.seen, "%s: %v\n", step.do, err != nil)
	}
	keys := m.Keys(ctx)
	slices.Sort(keys)
	for _, key := range keys {
		fmt.Fprintf(&s.seen, "%s: %#v\n", key, m.Get(ctx, key))
	}
	fmt.Fprintf(&s.seen, "status %v\n", m.Status(ctx))
	if s.visit.writes {
		fmt.Fprint(w, "page")
	}
}

// copyOf is the value for one of the two sites alone: handlers change it.
func copyOf(value any) any {
	switch v := value.(type) {
	case []any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = copyOf(v[i])
		}
		return items
	case map[string]any:
		fields := map[string]any{}
		for key := range v {
			fields[key] = copyOf(v[key])
		}
		return fields
	default:
		return value
	}
}

// play answers what the handler and the browser saw.
func (s *site) play(v visit) string {
	s.visit = v
	s.seen.Reset()
	r := httptest.NewRequest("GET", "/", nil)
	if cookie := s.cookies[v.browser]; cookie != "" {
		r.AddCookie(&http.Cookie{Name: "session", Value: cookie})
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	fmt.Fprintf(&s.seen, "%d %s\n", w.Code, w.Body)
	for _, cookie := range w.Result().Cookies() {
		fmt.Fprintf(&s.seen, "cookie for %v, ends %v\n", (time.Duration(cookie.MaxAge) * time.Second).Round(time.Minute), cookie.MaxAge < 0)
		if s.cookies[v.browser] = cookie.Value; cookie.MaxAge < 0 {
			s.cookies[v.browser] = ""
		}
	}
	return s.seen.String()
}
