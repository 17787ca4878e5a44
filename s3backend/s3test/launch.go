package s3test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errPortTaken says that the server's port was free when looked for and is
// not now.
var errPortTaken = errors.New("the port was taken by another process")

// webhookID is what MinIO calls its webhook.
const webhookID = "TEST"

// arguments returns the command line of the server.
func (s *Server) arguments(port int) []string {
	address := "127.0.0.1:" + strconv.Itoa(port)
	data, certs := filepath.Join(s.Dir, "data"), filepath.Join(s.Dir, "certs")
	if s.Name == MinIOName {
		return []string{"server", "--quiet", "--address", address, "--certs-dir", certs, data}
	}
	args := []string{"--quiet", "--region", s.Region, "--port", address}
	if s.CAFile != "" {
		args = append(args, "--cert", filepath.Join(certs, certName), "--key", filepath.Join(certs, keyName))
	}
	args = append(args, "posix", "--versioning-dir", filepath.Join(s.Dir, "versions"))
	if !hasXattrs(data) {
		args = append(args, "--sidecar", filepath.Join(s.Dir, "sidecar"))
	}
	return append(args, data)
}

// environ returns the whole environment of the server: nothing of ours, as
// both servers read a great many variables. Memory is kept small.
func (s *Server) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "TMPDIR=" + s.Dir,
		"GOMEMLIMIT=300MiB", "GOGC=50",
	}
	if s.Name == MinIOName {
		// The KMS key need not be secret, only the same after a restart.
		key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
		if s.config.Webhook != "" {
			env = append(env, "MINIO_NOTIFY_WEBHOOK_ENABLE_"+webhookID+"=on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_"+webhookID+"="+s.config.Webhook,
				"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_"+webhookID+"="+s.config.WebhookToken)
		}
		return append(env,
			"MINIO_ROOT_USER="+s.Access, "MINIO_ROOT_PASSWORD="+s.Secret, "MINIO_REGION="+s.Region,
			"MINIO_KMS_SECRET_KEY="+KMSKey+":"+key,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off", "MINIO_SCANNER_SPEED=slowest")
	}
	return append(env, "ROOT_ACCESS_KEY_ID="+s.Access, "ROOT_SECRET_ACCESS_KEY="+s.Secret)
}

// hasXattrs reports whether files in dir can have user attributes.
func hasXattrs(dir string) bool {
	return syscall.Setxattr(dir, "user.moorfs.test", []byte("1"), 0) == nil
}

// awaitReady returns nil when the child itself listens on the port and lists
// its buckets.
func (s *Server) awaitReady(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer on %s for %v", s.URL, startTimeout))
	defer cancel()
	raw, err := NewRaw(s, "")
	if err != nil {
		return err
	}
	for {
		select {
		case <-s.exited:
			if socketOf(port) != "" {
				return errPortTaken
			}
			return errors.New("the server ended")
		default:
		}
		if socket := socketOf(port); socket != "" {
			if !s.owns(socket) {
				return errPortTaken
			}
			if _, err := raw.do(ctx, rawRequest{method: http.MethodGet}); err == nil {
				return nil
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// socketOf returns the name, as in /proc/PID/fd, of the socket that listens on
// a TCP port of 127.0.0.1, empty if there is none.
func socketOf(port int) string {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return ""
	}
	const listening = "0A"
	local := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[3] == listening {
			return "socket:[" + f[9] + "]"
		}
	}
	return ""
}

// owns reports whether the child has the socket open. A child that is gone
// has nothing.
func (s *Server) owns(socket string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", s.Pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && to == socket {
			return true
		}
	}
	return false
}
