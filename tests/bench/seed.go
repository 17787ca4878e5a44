package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const seededPerDir = 1000

// seed puts n objects into a bucket of versitygw by writing them where it
// keeps them: a million requests would take a quarter of an hour.
func seed(bucket string, n int) error {
	for i := range n {
		dir := filepath.Join(bucket, fmt.Sprintf("d%04d", i/seededPerDir))
		if i%seededPerDir == 0 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		path := filepath.Join(dir, fmt.Sprintf("f%03d", i%seededPerDir))
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			return err
		}
		if err := unix.Setxattr(path, "user.etag", []byte("9dd4e461268c8034f5c8564e155c67a6"), 0); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
