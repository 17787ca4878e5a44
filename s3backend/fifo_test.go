package s3backend

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSecretsFromAFifo: a mount does not wait for somebody to write a key.
func TestSecretsFromAFifo(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, key := ReadCustomerKey(fifo)
	_, word := ReadSharedSecret(fifo)
	for _, err := range []error{key, word} {
		if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("%v", err)
		}
	}
}
