package main

import (
	"archive/tar"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A job is what is measured.
type job struct {
	name    string
	writes  bool // a flush follows
	cold    bool // on a cache that knows nothing
	command func(in inputs, dir string) *exec.Cmd
	before  func(dir string) error // not measured
}

// inputs are the files that jobs use.
type inputs struct {
	large, tree string // a file, a tar
}

// jobs in their order: each builds on what the ones before have left.
var jobs = []job{
	{name: "write a large file", writes: true, command: func(in inputs, dir string) *exec.Cmd {
		return exec.Command("dd", "if="+in.large, "of="+filepath.Join(dir, "large"), "bs=1M", "status=none")
	}},
	{name: "read it, cold", cold: true, command: readLarge},
	{name: "read it, warm, page cache dropped", command: readLarge, before: dropPages},
	{name: "untar small files", writes: true, command: func(in inputs, dir string) *exec.Cmd {
		return exec.Command("tar", "-xf", in.tree, "-C", dir)
	}},
	{name: "find, cold", cold: true, command: func(_ inputs, dir string) *exec.Cmd {
		return exec.Command("find", filepath.Join(dir, "tree"), "-type", "f")
	}},
	{name: "read the small files, cold", cold: true, command: func(_ inputs, dir string) *exec.Cmd {
		return exec.Command("sh", "-c", `find "$1" -type f -exec cat {} + > /dev/null`, "sh", filepath.Join(dir, "tree"))
	}},
}

func readLarge(_ inputs, dir string) *exec.Cmd {
	return exec.Command("dd", "if="+filepath.Join(dir, "large"), "of=/dev/null", "bs=1M", "status=none")
}

// dropPages makes the kernel forget the page cache, of the mount and of the
// data files below it.
func dropPages(string) error {
	if out, err := exec.Command("sync").CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w: %s", err, out)
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return fmt.Errorf("dropping the page cache (needs root): %w", err)
	}
	return nil
}

// settleMemory makes the kernel have as much free memory as any job needs for
// pages. On a virtual machine a page that was never used costs many times one
// that was, and whoever is measured first would pay for all.
func settleMemory(dir string) error {
	if out, err := exec.Command("sync").CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w: %s", err, out)
	}
	f, err := os.CreateTemp(dir, "pages-")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, pages)
	return err
}

// pages is more than twice the large file: what is written through a mount is
// in its pages and in those of the data file.
const pages = 3 << 30

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// makeInputs writes the large file and the tar of small files below dir.
func makeInputs(s settings, dir string) (inputs, error) {
	in := inputs{large: filepath.Join(dir, "large"), tree: filepath.Join(dir, "tree.tar")}
	if err := writeFile(in.large, func(w io.Writer) error {
		_, err := io.CopyN(w, rand.NewChaCha8([32]byte{1}), s.size)
		return err
	}); err != nil {
		return in, err
	}
	return in, writeFile(in.tree, func(w io.Writer) error { return writeTree(w, s.files) })
}

const (
	filesPerDir = 50
	meanSize    = 8 << 10
)

// writeTree writes a tar of n files of up to twice meanSize.
func writeTree(w io.Writer, n int) error {
	t := tar.NewWriter(w)
	random := rand.New(rand.NewPCG(1, 2))
	content := rand.NewChaCha8([32]byte{2})
	for i := range n {
		dir := fmt.Sprintf("tree/d%03d/", i/filesPerDir)
		if i%filesPerDir == 0 {
			if err := t.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(1e9, 0)}); err != nil {
				return err
			}
		}
		size := random.Int64N(2 * meanSize)
		h := &tar.Header{Name: fmt.Sprintf("%sf%05d", dir, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(1e9, 0)}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.CopyN(t, content, size); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// jobLimit is when a job is given up as hung.
const jobLimit = 20 * time.Minute

func runJob(m subject, cmd *exec.Cmd) error {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := m.within(jobLimit, cmd.String(), cmd.Run)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, stderr.String())
	}
	return nil
}
