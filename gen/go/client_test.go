package latchkey

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesThatAreNoCertificatesAreRefusedByName(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.pem")
	if err := os.WriteFile(text, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTLS(text, "", ""); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("an authority without a certificate: %v", err)
	}
	for _, files := range [][3]string{{"none.pem", "", ""}, {"", text, text}, {"", text, ""}} {
		if _, err := LoadTLS(files[0], files[1], files[2]); err == nil {
			t.Errorf("%q were taken", files)
		}
	}
	config, err := LoadTLS("", "", "")
	if err != nil || config.RootCAs != nil || config.Certificates != nil {
		t.Errorf("no files gave %v (%v)", config, err)
	}
}
