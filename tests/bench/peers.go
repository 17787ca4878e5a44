package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// A peer is another program that mounts buckets. arguments is its command line
// for a run, in the foreground, with a cache of files where it has one, and
// with what its manual recommends for servers that are not Amazon's.
type peer struct {
	program   string
	arguments func(r *run, mnt, cache string) []string
	env       func(r *run) []string            // besides AWS_*
	before    func(r *run, env []string) error // to be run first
	version   []string                         // arguments that print its version
	chunks    bool
}

var peers = []peer{
	{program: "rclone", version: []string{"version"},
		arguments: func(r *run, mnt, cache string) []string {
			return []string{"mount", "bench:" + r.bucket, mnt, "--vfs-cache-mode", "full", "--cache-dir", cache}
		},
		env: func(r *run) []string {
			return []string{"RCLONE_CONFIG=" + os.DevNull, "RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Minio",
				"RCLONE_CONFIG_BENCH_ENV_AUTH=true", "RCLONE_CONFIG_BENCH_ENDPOINT=" + r.net.proxy.URL}
		}},
	{program: "s3fs", version: []string{"--version"},
		arguments: func(r *run, mnt, cache string) []string {
			args := []string{r.bucket, mnt, "-f", "-o", "url=" + r.net.proxy.URL, "-o", "use_path_request_style", "-o", "use_cache=" + cache,
				"-o", "endpoint=" + s3test.Region}
			// Without it newer ones do not see directories that have no object.
			if help, err := exec.Command("s3fs", "--help").CombinedOutput(); err == nil && strings.Contains(string(help), " compat_dir") {
				args = append(args, "-o", "compat_dir")
			}
			return args
		}},
	{program: "geesefs", version: []string{"--version"},
		arguments: func(r *run, mnt, cache string) []string {
			return []string{"-f", "--endpoint", r.net.proxy.URL, "--region", s3test.Region, "--cache", cache, r.bucket, mnt}
		}},
	{program: "goofys", version: []string{"--version"},
		arguments: func(r *run, mnt, _ string) []string {
			return []string{"-f", "--endpoint", r.net.proxy.URL, "--region", s3test.Region, r.bucket, mnt}
		}},
	{program: "juicefs", version: []string{"version"}, chunks: true,
		arguments: func(r *run, mnt, cache string) []string {
			return []string{"mount", "--cache-dir", cache, "--no-usage-report", database(r), mnt}
		},
		before: func(r *run, env []string) error {
			cmd := exec.Command("juicefs", "format", "--storage", "s3", "--bucket", r.net.proxy.URL+"/"+r.bucket,
				"--access-key", s3test.Access, "--secret-key", s3test.Secret, "--no-update", database(r), "bench")
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("juicefs format: %w: %s", err, tail(string(out)))
			}
			return err
		}},
	{program: "mount-s3", version: []string{"--version"},
		arguments: func(r *run, mnt, cache string) []string {
			return []string{"--foreground", "--endpoint-url", r.net.proxy.URL, "--force-path-style", "--region", s3test.Region,
				"--cache", cache, "--allow-delete", "--allow-overwrite", r.bucket, mnt}
		}},
}

func database(r *run) string { return "sqlite3://" + filepath.Join(r.dir, "meta.db") }

// peersFor returns the peers on PATH that can do a work. Those that keep files
// in a form of their own cannot begin with objects of others.
func peersFor(s settings, w *work) []kind {
	var found []kind
	if !s.peers || w.ours || w.server != "" {
		return nil
	}
	for _, p := range peers {
		if _, err := exec.LookPath(p.program); err == nil && !(p.chunks && w.fixture != nothing) {
			found = append(found, kind{name: p.program, peer: p.program, chunks: p.chunks, start: p.start})
		}
	}
	return found
}

func (p peer) start(r *run) (*subject, error) {
	mnt, cache := filepath.Join(r.dir, "mnt"), filepath.Join(r.dir, "cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.program, p.arguments(r, mnt, cache)...)
	cmd.Env = append(harness.Environ(), s3test.Environ()...)
	cmd.Env = append(cmd.Env, "AWSACCESSKEYID="+s3test.Access, "AWSSECRETACCESSKEY="+s3test.Secret) // s3fs
	if p.env != nil {
		cmd.Env = append(cmd.Env, p.env(r)...)
	}
	if p.before != nil {
		if err := p.before(r, cmd.Env); err != nil {
			return nil, err
		}
	}
	return startDaemon(cmd, mnt)
}

// peerVersions tells the versions of the peers on PATH.
func peerVersions() []string {
	var all []string
	for _, p := range peers {
		if _, err := exec.LookPath(p.program); err != nil {
			continue
		}
		out, err := exec.Command(p.program, p.version...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil {
			line = p.program + ", version unknown"
		}
		all = append(all, line)
	}
	return all
}
