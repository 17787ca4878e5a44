package s3test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// tools maps the name of a server to its package in tests/servers.
var tools = map[string]string{
	VersityGW: "github.com/versity/versitygw/cmd/versitygw",
	MinIOName: "github.com/minio/minio",
}

// Build returns the path of the named server's binary (VersityGW or
// MinIOName). If this version of it is not in the user's cache directory yet it
// is built, which takes minutes; concurrent callers, also in other processes,
// wait for one build. It needs the project's source tree and the go command.
func Build(ctx context.Context, name string) (string, error) {
	pkg, ok := tools[name]
	if !ok {
		return "", fmt.Errorf("build server %q: no such server", name)
	}
	path, err := build(ctx, name, pkg)
	if err != nil {
		return "", fmt.Errorf("build server %q: %w", name, err)
	}
	return path, nil
}

func build(ctx context.Context, name, pkg string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "tests", "servers")
	dir, err := cacheDir(source)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if isFile(path) {
		return path, nil
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) { // another process built it while this one waited
		return path, nil
	}
	part := path + ".part"
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", part, pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return path, os.Rename(part, path)
}

// cacheDir returns the directory for the binaries of this state of the pinned
// tools, and makes it.
func cacheDir(source string) (string, error) {
	sum := sha256.New()
	for _, f := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(source, f))
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	version := hex.EncodeToString(sum.Sum(nil)[:8]) + "-" + runtime.GOOS + "-" + runtime.GOARCH
	dir := filepath.Join(base, "moorfs", "servers", version)
	return dir, os.MkdirAll(dir, 0o755)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// lock takes an exclusive lock on a file, which it creates, and returns what
// releases it.
func lock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing releases; nothing was written
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
	}
}

// pause waits between two looks at a condition.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// moduleRoot returns the directory of the project's source tree: the one above
// the working directory, else the one this file was compiled from.
func moduleRoot() (string, error) {
	starts := []string{}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && bytes.HasPrefix(mod, []byte("module github.com/moorfs/moorfs\n")) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("the source tree of github.com/moorfs/moorfs is not above the working directory")
}
