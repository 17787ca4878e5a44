package harness

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A child whose directory and program lie on a mount starts while everything
// in this process goes on, as the proxy has to for the mount to answer.
func TestSpawnOnMount(t *testing.T) {
	s := Versity(t)
	meta := map[string]string{"file-permissions": "0100755"}
	if err := s.Raw.Put(t.Context(), "dir/script", []byte("#!/bin/sh\npwd; echo \"$1\"\n"), meta); err != nil {
		t.Fatal(err)
	}
	m := Start(t, Spec{Source: "s3://" + s.Bucket, Options: []string{"--endpoint-url", s.Endpoint, "--attrs", "exact"}, Env: s.Env()})
	s.Proxy.Slow(20*time.Millisecond, 0)
	defer s.Fair()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC() // wants every processor for a moment
			}
		}
	}()
	var out strings.Builder
	cmd := exec.Command(m.Path("dir", "script"), "an argument")
	cmd.Dir, cmd.Stdout = m.Path("dir"), &out
	m.Do(t, "a child on the mount", func() error {
		if err := Spawn(cmd); err != nil {
			return err
		}
		return cmd.Wait()
	})
	if want := m.Path("dir") + "\nan argument\n"; out.String() != want {
		t.Errorf("the child says %q, want %q", out.String(), want)
	}
}
