package s3test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The servers there are.
const (
	VersityGW = "versitygw"
	MinIOName = "minio"
)

// What all servers have in common.
const (
	Access = "moorfs-test"
	Secret = "moorfs-test-secret"
	Region = "us-east-1"
	KMSKey = "moorfs-test-key" // id of the one KMS key MinIO has
)

// startTimeout bounds the wait for a server to answer; startTries how often
// another port is tried when somebody else took the one that was free.
const (
	startTimeout = 60 * time.Second
	startTries   = 5
)

// A Config says which server Start runs.
type Config struct {
	Name string // VersityGW or MinIOName
	TLS  bool   // serve https with a certificate of a new CA
	Dir  string // for the server's data and log; empty: a temporary directory that Stop removes

	Webhook      string // of MinIO: URL that the notifications of buckets go to (Raw.Notify); empty: none
	WebhookToken string // sent with them as a bearer token
}

// A Server is a running S3 server. Its fields do not change.
type Server struct {
	Name   string
	URL    string // endpoint, without a slash at the end
	Access string
	Secret string
	Region string
	CAFile string // PEM file of the CA that signed its certificate; empty without TLS
	Dir    string
	Pid    int

	config Config
	temp   *tempDir // nil if Dir was given
	cmd    *exec.Cmd
	exited chan struct{} // closed when the child is gone
	stop   func() error
}

// Start builds the server if need be, runs it on a free port of 127.0.0.1 and
// returns when it answers. Call Stop in the end; if this process dies before,
// the server is killed.
func Start(ctx context.Context, c Config) (*Server, error) {
	binary, err := Build(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: c.Name, Access: Access, Secret: Secret, Region: Region, Dir: c.Dir, config: c}
	if err := s.prepare(c.TLS); err != nil {
		return nil, fmt.Errorf("start server %q: %w", c.Name, errors.Join(err, s.clear()))
	}
	for range startTries {
		if err = s.run(ctx, binary); err == nil {
			s.stop = sync.OnceValue(func() error { return errors.Join(s.kill(), s.clear()) })
			return s, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, fmt.Errorf("start server %q: %w", c.Name, errors.Join(err, s.clear()))
}

// Stop kills the server and removes its temporary directory. It may be called
// more than once and concurrently.
func (s *Server) Stop() error { return s.stop() }

// Environ returns the AWS_* variables that give a client the credentials and
// region of every server and keep it away from the user's configuration.
func Environ() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + Access,
		"AWS_SECRET_ACCESS_KEY=" + Secret,
		"AWS_REGION=" + Region,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

func (s *Server) prepare(withTLS bool) (err error) {
	if s.Dir == "" {
		if s.temp, err = newTempDir(); err != nil {
			return err
		}
		s.Dir = s.temp.path
	}
	for _, d := range []string{"data", "versions", "certs", "sidecar"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if withTLS {
		s.CAFile, err = writeCertificates(filepath.Join(s.Dir, "certs"))
	}
	return err
}

func (s *Server) clear() error {
	if s.temp == nil {
		return nil
	}
	return s.temp.remove()
}

// run starts the child on a port that is free now and waits until it answers.
func (s *Server) run(ctx context.Context, binary string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	s.cmd = exec.Command(binary, s.arguments(port)...)
	s.cmd.Dir = s.Dir
	s.cmd.Env = s.environ()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := spawn(s.cmd); err != nil {
		return err
	}
	s.Pid = s.cmd.Process.Pid
	scheme := "http"
	if s.CAFile != "" {
		scheme = "https"
	}
	s.URL = scheme + "://127.0.0.1:" + strconv.Itoa(port)
	exited := make(chan struct{})
	s.exited = exited
	go func() {
		_ = s.cmd.Wait() // killed in the end: its status says nothing
		close(exited)
	}()
	if err := s.awaitReady(ctx, port); err != nil {
		tail, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("%w\n%s", err, tail[max(0, len(tail)-2000):]), s.kill())
	}
	return nil
}

func (s *Server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop server %q: %w", s.Name, err)
	}
	<-s.exited
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// spawner starts children from one thread that lives as long as the process:
// a child with Pdeathsig is killed when the thread that started it ends.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// spawn starts cmd, to be killed when this process dies. It is in a process
// group of its own: Ctrl-C at the terminal is not for it.
func spawn(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	spawner() <- func() { done <- cmd.Start() }
	return <-done
}
