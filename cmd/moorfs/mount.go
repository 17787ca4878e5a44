package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/fs"
)

func newMountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mount s3://BUCKET[/PREFIX] MOUNTPOINT",
		Short: "Mount a bucket; returns once the mount answers",
		Long: `Mount a bucket or a prefix of it. The command returns once the mount answers, a daemon serves it.

Every option can also be given after -o, with _ or -, and as MOORFS_… in the environment; a flag
counts more than -o, -o more than the environment. Secrets are never arguments: keys come from files
or MOORFS_SSE_C_KEY (base64), credentials from where the AWS tools take them.`,
		Example: "  moorfs mount s3://photos /mnt/photos --profile home\n  moorfs mount s3://logs/2026 /mnt/logs --read-only -o allow_other",
		Args:    exactly(2),
	}
	cmd.Flags().SortFlags = false
	flags := addMountFlags(cmd)
	dashOs := cmd.Flags().StringArrayP("option", "o", nil, "options as in fstab: name=value,…")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		req, err := newMountRequest(args, *dashOs, flags)
		if err != nil {
			return usage(err)
		}
		return mountOrStart(req)
	}
	return cmd
}

// newMountRequest puts together what the arguments, -o, the environment and
// the flags say.
func newMountRequest(args, dashOs []string, flags layer) (mountRequest, error) {
	src, err := parseSource(args[0])
	if err != nil {
		return mountRequest{}, err
	}
	env, err := fromEnvironment(os.Environ())
	if err != nil {
		return mountRequest{}, err
	}
	d, err := parseDashO(strings.Join(dashOs, ","), false)
	if err != nil {
		return mountRequest{}, err
	}
	req := mountRequest{src: src, dir: args[1], set: newSettings(env, d.layer, flags), flags: d.flags}
	return req, checkSettings(req.set)
}

// mountOrStart mounts in this process if it is the daemon or to stay in
// front, and else starts the daemon.
func mountOrStart(req mountRequest) error {
	if req.flags.remount {
		return remount(req)
	}
	if isDaemon() || req.set.on("foreground") {
		return serveMount(req)
	}
	ctx, cancel := interruptible()
	defer cancel()
	return startDaemon(ctx, os.Stderr)
}

// serveMount mounts and serves until the mount ends.
func serveMount(req mountRequest) error {
	ready, err := newReadiness()
	if err != nil {
		return err
	}
	daemon := ready.pipe != nil
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	l, err := startInterruptibly(req, ready, signals)
	if errors.Is(err, fs.ErrMounted) {
		return errors.Join(ready.warn(fmt.Sprintf("%s is already mounted on %s, with the options that it was given then", req.src, req.dir)), ready.tell(nil))
	}
	if err != nil {
		if told := ready.tell(err); told != nil || !daemon {
			return errors.Join(err, told)
		}
		return &exitError{code: exitFailed} // our parent says why
	}
	if err := ready.tell(nil); err != nil {
		l.log.Warn("cannot report that the mount answers", "error", err)
	}
	l.log.Info("mounted", "mountpoint", l.reg.Mountpoint)
	return l.run(signals)
}

// startInterruptibly is startMount, given up at the first signal.
func startInterruptibly(req mountRequest, ready *readiness, signals <-chan os.Signal) (*live, error) {
	ctx, cancel := context.WithCancel(context.Background())
	started, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-signals:
			cancel()
		case <-started:
		}
	}()
	l, err := startMount(ctx, req, ready)
	close(started)
	<-watched
	interrupted := ctx.Err() != nil
	cancel()
	if interrupted && err == nil { // the signal came too late to stop the start
		go l.terminate()
	}
	return l, err
}
