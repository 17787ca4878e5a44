package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func newUmountCommand() *cobra.Command {
	var req umountRequest
	var timeout string
	var lazy bool
	cmd := &cobra.Command{
		Use:     "umount MOUNTPOINT",
		Aliases: []string{"unmount"},
		Short:   "Send everything to the bucket, then unmount",
		Long: `Bring everything to the bucket, then unmount. With --timeout the mount goes after that time in any
case; what is not sent is safe in the cache, the next mount sends it, and the exit status is 3. Without it
the command waits as long as something moves, and ends with 3 after a minute in which nothing did.`,
		Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			req.dir, req.how = args[0], detach(lazy)
			if timeout != "" {
				if req.limit, err = parseDuration(timeout); err != nil {
					return usage(fmt.Errorf("--timeout: %w", err))
				}
				req.limit = max(req.limit, time.Nanosecond)
			}
			return umount(req)
		},
	}
	cmd.Flags().StringVar(&timeout, "timeout", "", "send for at most this long, as 30s")
	cmd.Flags().BoolVarP(&lazy, "lazy", "l", false, "detach at once; the daemon goes on sending until it is done")
	return cmd
}

// umount has the daemon of a mountpoint drain and unmount, and waits until it
// has ended. A mount without a daemon is just taken away.
func umount(req umountRequest) error {
	dir, err := resolveDir(req.dir)
	if err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	if err := endUndead(func(m registration) bool { return m.Mountpoint == dir }); err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	m, known, err := mountOf(dir)
	if err != nil {
		return err
	}
	known = known && m.Mountpoint == dir
	at, mounted, err := mountAt(dir)
	if err != nil {
		return err
	}
	switch {
	case !mounted && !known:
		return fmt.Errorf("umount: nothing is mounted on %s", dir)
	case mounted && at.fstype != "fuse.moorfs":
		return fmt.Errorf("umount: %s is a mount of type %s, not of moorfs", dir, at.fstype)
	case req.how == lazily && mounted:
		return detachMount(dir, m, known)
	case !known:
		if err := at.mayTouch(); err != nil {
			return fmt.Errorf("umount: %w", err)
		}
		return removeDead(dir)
	}
	err = stopDaemon(m, req.limit)
	if !errors.Is(err, errNoDaemon) && !errors.Is(err, errCutOff) {
		return err
	}
	if ended, waitErr := awaitDeath(m); waitErr != nil || !ended {
		return errors.Join(err, waitErr)
	}
	return removeDead(dir)
}

// stopDaemon asks a daemon to drain, unmount and end.
func stopDaemon(m registration, limit time.Duration) error {
	ctx, cancel := interruptible()
	defer cancel()
	line := newProgressLine(os.Stderr)
	_, err := ask(ctx, m.Socket, request{Op: opStop, Timeout: limit}, line.tell)
	line.end()
	switch left := new(leftover); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; %s is still mounted", m.Mountpoint)
	case errors.Is(err, errBusy):
		return fmt.Errorf("umount: %s is in use by %s; the mount stays, what was written goes on to the bucket", m.Mountpoint, describeUsers(m.Mountpoint))
	case err != nil && !errors.As(err, &left):
		return fmt.Errorf("umount %s: %w", m.Mountpoint, err)
	}
	if ended, waitErr := waitExit(m.Pid, m.Start, time.Minute); waitErr != nil || !ended {
		return errors.Join(err, waitErr, fmt.Errorf("unmounted, but the daemon (pid %d) does not end", m.Pid))
	}
	return unfinished(err)
}

// detachMount takes the name away at once and leaves the rest to the daemon.
func detachMount(dir string, m registration, known bool) error {
	if err := unmountDir(dir, lazily); err != nil {
		return err
	}
	if known {
		_, err := fmt.Fprintf(os.Stderr, "moorfs: %s detached; process %d sends what is left and ends\n", dir, m.Pid)
		return err
	}
	return forgetDead(dir)
}

// removeDead takes away a mount whose daemon is not there any more.
func removeDead(dir string) error {
	if _, mounted, err := mountAt(dir); err != nil || !mounted {
		return errors.Join(err, forgetDead(dir))
	}
	err := unmountDir(dir, whenFree)
	if errors.Is(err, errBusy) {
		return fmt.Errorf("umount: %s is in use by %s", dir, describeUsers(dir))
	}
	return errors.Join(err, forgetDead(dir))
}

// forgetDead removes the line that a dead daemon left for umount(8).
func forgetDead(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return systemUtab().remove(dir)
}
