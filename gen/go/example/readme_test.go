package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"latchkey.dev/go/internal/servers"
)

func TestProgramOfTheReadmeGreetsTheUser(t *testing.T) {
	address := servers.Get(t).Servers["open"].GRPC
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, _ := strings.Cut(rest, "```\n")
	path := filepath.Join(t.TempDir(), "main.go")
	program = strings.ReplaceAll(program, "localhost:50051", address)
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", path).CombinedOutput()
	if err != nil || string(out) != "hello, ann\n" {
		t.Fatalf("it printed %s (%v)", out, err)
	}
}
