package powercut

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moorfs/moorfs/tests/harness"
)

// roleEnv tells a test binary to be the process of a disk, mounted there.
const roleEnv = "MOORFS_TEST_POWERCUT"

// A Disk is a mounted directory that can forget.
type Disk struct {
	Dir string

	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// Start mounts an empty disk at dir, which it makes, until the test ends. The
// test binary's TestMain has to call Serve.
func Start(t harness.T, dir string) *Disk {
	t.Helper()
	d := &Disk{Dir: dir, cmd: exec.Command(os.Args[0])}
	if err := d.start(); err != nil {
		t.Fatalf("a disk that forgets at %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.orders.Close(), d.cmd.Wait()); err != nil {
			t.Errorf("the disk at %s: %v", dir, err)
		}
	})
	return d
}

func (d *Disk) start() error {
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return err
	}
	d.cmd.Env = append(os.Environ(), roleEnv+"="+d.Dir)
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if d.orders, err = d.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := harness.Spawn(d.cmd); err != nil {
		return err
	}
	d.answers = bufio.NewReader(out)
	_, err = d.answer()
	return err
}

// Cut cuts the power: what was not synced meets its fate, the same for the
// same seed and history. It says what was lost. Nobody may use the disk.
func (d *Disk) Cut(fate Fate, seed uint64) (lost string, err error) {
	return d.order(orderCut, fate, seed)
}

// Trouble makes t what is wrong with the disk from now on, and returns how
// many calls the trouble before has hit.
func (d *Disk) Trouble(t Trouble) (hits int, err error) {
	said, err := d.order(orderTrouble, t)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(said)
}

// The orders that a disk's process takes, a line each.
const (
	orderCut     = "cut"
	orderTrouble = "trouble"
)

func (d *Disk) order(words ...any) (string, error) {
	if _, err := fmt.Fprintln(d.orders, words...); err != nil {
		return "", err
	}
	return d.answer()
}

func (d *Disk) answer() (string, error) {
	line, err := d.answers.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("its process has gone: %w", err)
	}
	said, ok := strings.CutPrefix(strings.TrimSpace(line), "ok ")
	if !ok {
		return "", errors.New(said)
	}
	return said, nil
}

// Serve is the process of a disk, if this one is to be one: it ends with the
// program.
func Serve() {
	dir := os.Getenv(roleEnv)
	if dir == "" {
		return
	}
	if err := serve(dir); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(dir string) error {
	d, t := newDisk(), &troubles{}
	s, err := mount(newServer(d, t), dir)
	if err != nil {
		return err
	}
	fmt.Println("ok mounted")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		words := strings.Fields(orders.Text())
		if words[0] == orderTrouble {
			trouble, err := parseTrouble(words[1:])
			if err != nil {
				return err
			}
			fmt.Println("ok", t.set(trouble))
			continue
		}
		seed, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			return err
		}
		if err := unmount(s); err != nil {
			fmt.Println("the disk is in use:", err)
			continue
		}
		lost := d.cut(Fate(words[1]), seed)
		if s, err = mount(newServer(d, t), dir); err != nil {
			return err
		}
		fmt.Println("ok", lost)
	}
	return unmount(s)
}

func mount(on *server, dir string) (*fuse.Server, error) {
	s, err := fuse.NewServer(on, dir, &fuse.MountOptions{Name: "powercut", FsName: "powercut", MaxWrite: 1 << 20,
		MaxBackground: 64, DisableXAttrs: true, DisableReadDirPlus: true, ExplicitDataCacheControl: true,
		DirectMountStrict: os.Geteuid() == 0})
	if err != nil {
		return nil, err
	}
	go s.Serve()
	return s, s.WaitMount()
}

// unmount waits for the last close of processes that have just died.
func unmount(s *fuse.Server) error {
	const limit = 10 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		err := s.Unmount()
		if err == nil || !errors.Is(err, syscall.EBUSY) && !strings.Contains(err.Error(), "busy") || time.Now().After(deadline) {
			return err
		}
	}
}
