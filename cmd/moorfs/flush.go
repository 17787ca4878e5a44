package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newFlushCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "flush PATH... | --all",
		Short: "Return once files or trees are in the bucket",
		Long: `Send what was changed below each PATH now, and return once it is in the bucket. The exit status is 1 if
S3 refused it, 3 if it could not be sent; it stays queued in both cases.`,
		Args: checked(func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name paths, or --all")
			}
			return nil
		}),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, cancel := interruptible()
			defer cancel()
			targets, err := flushTargets(args)
			if err != nil {
				return fmt.Errorf("flush: %w", err)
			}
			var failed []error
			for _, t := range targets {
				failed = append(failed, flush(ctx, t))
			}
			if all {
				failed = append(failed, flushOfDead())
			}
			return together(failed)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything in every mount of yours")
	return cmd
}

// A flushTarget is a path below a mount; empty: the whole mount.
type flushTarget struct {
	mount registration
	path  string
}

// flushTargets finds the mounts of paths; of no paths: all mounts that belong
// to this user.
func flushTargets(paths []string) ([]flushTarget, error) {
	var out []flushTarget
	for _, p := range paths {
		t, err := targetOf(p)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	if len(paths) > 0 {
		return out, nil
	}
	mounts, err := mountsHere()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if os.Geteuid() == 0 || m.isOurs() {
			out = append(out, flushTarget{mount: m})
		}
	}
	return out, nil
}

// targetOf finds the mount of a path.
func targetOf(path string) (flushTarget, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return flushTarget{}, err
	}
	m, found, err := mountOf(abs)
	if err == nil && !found { // perhaps behind a symbolic link
		if err = whyUnknown(abs); err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		if errors.Is(err, unix.ENOTCONN) {
			err = fmt.Errorf("%s: %w", path, errDead)
		}
		if err != nil {
			return flushTarget{}, err
		}
		m, found, err = mountOf(abs)
	}
	if err != nil {
		return flushTarget{}, err
	}
	if !found {
		return flushTarget{}, fmt.Errorf("%s lies in no mount of moorfs", path)
	}
	return flushTarget{mount: m, path: strings.TrimPrefix(strings.TrimPrefix(abs, m.Mountpoint), "/")}, nil
}

func flush(ctx context.Context, t flushTarget) error {
	line := newProgressLine(os.Stderr)
	_, err := ask(ctx, t.mount.Socket, request{Op: opFlush, Path: []byte(t.path)}, line.tell)
	line.end()
	if err == nil {
		return nil
	}
	name := filepath.Join(t.mount.Mountpoint, t.path)
	if left := new(leftover); errors.As(err, &left) {
		if left.refused() {
			return fmt.Errorf("flush %s: refused: %s", name, left.Progress.Error)
		}
		return &exitError{code: exitUnfinished, err: fmt.Errorf("flush %s: %s: safe in %s, sent as soon as it can be%s",
			name, describeLeft(left.Progress), left.CacheDir, because(left.Progress.Error))}
	}
	return fmt.Errorf("flush %s: %w", name, err)
}

// errDead says that a mount has no daemon any more.
var errDead = errors.New("the mount's daemon is dead; mount it again, nothing that was closed is lost")

// flushOfDead is the error for mounts of ours that nobody sends for.
func flushOfDead() error {
	dead, err := deadMounts()
	failed := []error{err}
	for _, l := range dead {
		failed = append(failed, fmt.Errorf("flush %s: %w", l.target, errDead))
	}
	return errors.Join(failed...)
}

// together is one error for several paths: unfinished if nothing worse
// happened.
func together(all []error) error {
	all = slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if len(all) < 2 {
		return errors.Join(all...)
	}
	code := exitUnfinished
	for _, err := range all {
		if e := new(exitError); !errors.As(err, &e) || e.code != exitUnfinished {
			code = exitFailed
		}
	}
	return &exitError{code: code, err: errors.Join(all...)}
}

// because appends a reason, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return "; " + reason
}
