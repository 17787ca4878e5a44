package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
				return err
			}
			for _, t := range targets {
				if err := flush(ctx, t); err != nil {
					return err
				}
			}
			return nil
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
			return nil, fmt.Errorf("flush: %w", err)
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
		if who, ok := ownerOf(fmt.Sprintf("/proc/%d", m.Pid)); os.Geteuid() == 0 || ok && int(who) == os.Geteuid() {
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
		if abs, err = filepath.EvalSymlinks(abs); errors.Is(err, unix.ENOTCONN) {
			return flushTarget{}, fmt.Errorf("%s: the mount's daemon is dead; mount it again, nothing that was written is lost", path)
		} else if err != nil {
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

// because appends a reason, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return "; " + reason
}
