package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moorfs/moorfs/cache"
)

// A cacheVerb is what "moorfs cache" was asked for.
type cacheVerb struct {
	dir    string
	asJSON bool
	repair bool
	to     string
	cmd    *cobra.Command
}

func newCacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look into, check, empty and rebuild a local cache",
		Long: `What lies on this machine's disk for a mount. Of a cache that is mounted its daemon is asked. Without --cache-dir
it is the only cache of this user; if there are several, one must be named.`,
		Args: checked(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheInfoCommand(), newCacheVerifyCommand(), newCachePruneCommand(), newCacheRecoverCommand())
	return cmd
}

// newVerb makes one of the verbs; run gets the cache directory.
func newVerb(v *cacheVerb, cmd *cobra.Command, run func(ctx context.Context, v *cacheVerb) error) *cobra.Command {
	cmd.Args = checked(cobra.NoArgs)
	cmd.Flags().StringVar(&v.dir, "cache-dir", "", "the cache's directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		ctx, cancel := interruptible()
		defer cancel()
		v.cmd = cmd
		if v.dir, err = chooseCache(v.dir); err == nil {
			err = run(ctx, v)
		}
		if err != nil {
			return fmt.Errorf("cache %s: %w", cmd.Name(), err)
		}
		return nil
	}
	return cmd
}

func newCacheInfoCommand() *cobra.Command {
	v := &cacheVerb{}
	cmd := newVerb(v, &cobra.Command{Use: "info", Short: "Show of which bucket a cache is, what it holds and what is unsent"}, cacheInfo)
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "as JSON")
	return cmd
}

func newCacheVerifyCommand() *cobra.Command {
	v := &cacheVerb{}
	cmd := newVerb(v, &cobra.Command{Use: "verify", Short: "Read the index and compare all cached data with its checksums",
		Long: `Read the index and compare all cached data with its checksums. Exit status 1 if something is wrong and was not
mended. What is damaged and in the bucket, too, is forgotten with --repair, and by a daemon in any case; it is
fetched again when it is read. What is only here is never changed: write it anew, or copy out what is left with
"moorfs cache recover --to DIR".`}, cacheVerify)
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&v.repair, "repair", false, "forget what is damaged and in the bucket, too")
	return cmd
}

func newCachePruneCommand() *cobra.Command {
	return newVerb(&cacheVerb{}, &cobra.Command{Use: "prune", Short: "Give up everything that is in the bucket, too"}, cachePrune)
}

func newCacheRecoverCommand() *cobra.Command {
	v := &cacheVerb{}
	cmd := newVerb(v, &cobra.Command{Use: "recover", Short: "Rebuild a damaged index; copy out what was not sent",
		Long: `Rebuild the index of a cache that is not mounted from its data files and what lies beside them, if it is damaged
or gone; the next mount sends what it finds, and would rebuild it, too. With --to, then copy every file that is not
in the bucket below DIR; one of which a part is only in the bucket gets the suffix .partial and zeros there, one that
the disk damaged the suffix .damaged, and the exit status is 1.`}, cacheRecover)
	cmd.Flags().StringVar(&v.to, "to", "", "copy unsent files below this directory")
	return cmd
}

// chooseCache returns the directory to work on.
func chooseCache(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	root, err := stateRoot()
	if err != nil {
		return "", err
	}
	locks, err := filepath.Glob(filepath.Join(root, "*", "LOCK"))
	if err != nil {
		return "", err
	}
	var all []string
	for _, l := range locks {
		all = append(all, filepath.Dir(l))
	}
	running, err := mountsHere()
	if err != nil {
		return "", err
	}
	for _, m := range running {
		if m.isOurs() {
			all = append(all, m.CacheDir)
		}
	}
	slices.Sort(all)
	switch all = slices.Compact(all); len(all) {
	case 0:
		return "", usage(errors.New("this user has no cache; name one with --cache-dir"))
	case 1:
		return all[0], nil
	}
	return "", usage(errors.New("there are several caches; name one with --cache-dir: " + strings.Join(all, ", ")))
}

// log is where what the cache says goes when no daemon has a log.
func (v *cacheVerb) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(v.cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// onCache runs alone on a cache that nobody uses, or asks its daemon.
func (v *cacheVerb) onCache(ctx context.Context, op string, alone func(*cache.Unmounted) error) (reply, error) {
	o, err := cache.OpenUnmounted(ctx, v.dir, v.log())
	if busy := new(cache.BusyError); errors.As(err, &busy) {
		r, asked := ask(ctx, socketName(v.dir), request{Op: op}, nil)
		if errors.Is(asked, errNoDaemon) {
			return r, err
		}
		return r, asked
	}
	if err != nil {
		return reply{}, err
	}
	return reply{}, errors.Join(alone(o), o.Close())
}

func cacheInfo(ctx context.Context, v *cacheVerb) error {
	var info cache.Info
	r, err := v.onCache(ctx, opCacheInfo, func(o *cache.Unmounted) (err error) {
		info, err = o.Info()
		return err
	})
	if err != nil {
		return err
	}
	report := cacheReport{Info: info}
	if r.Info != nil {
		report.Info = *r.Info
		if report.Mount, err = mountOfCache(v.dir); err != nil {
			return err
		}
	}
	return report.show(v.cmd.OutOrStdout(), v.asJSON)
}

// mountOfCache returns where a cache is mounted; empty: nobody knows.
func mountOfCache(dir string) (string, error) {
	running, err := mountsHere()
	for _, m := range running {
		if a, errA := os.Stat(m.CacheDir); errA == nil {
			if b, errB := os.Stat(dir); errB == nil && os.SameFile(a, b) {
				return m.Mountpoint, nil
			}
		}
	}
	return "", err
}

func cacheVerify(ctx context.Context, v *cacheVerb) error {
	var report cache.Report
	r, err := v.onCache(ctx, opCacheVerify, func(o *cache.Unmounted) (err error) {
		report, err = o.Verify(ctx, v.repair)
		return err
	})
	if err != nil {
		return err
	}
	if r.Report != nil {
		report = *r.Report
	}
	if err := showVerification(v.cmd.OutOrStdout(), report, v.asJSON); err != nil {
		return err
	}
	left := slices.ContainsFunc(report.Problems, func(p cache.Problem) bool { return !p.Mended })
	if left {
		return &exitError{code: exitFailed, err: errors.New(adviceFor(report))}
	}
	return nil
}

func cachePrune(ctx context.Context, v *cacheVerb) error {
	var freed int64
	r, err := v.onCache(ctx, opCachePrune, func(o *cache.Unmounted) (err error) {
		freed, err = o.Prune(ctx)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.cmd.OutOrStdout(), "%s given up\n", bytesText(freed+r.Freed))
	return err
}

func cacheRecover(ctx context.Context, v *cacheVerb) error {
	out := v.cmd.OutOrStdout()
	done, err := cache.Recover(ctx, v.dir, v.log())
	if err != nil {
		return inUse(err)
	}
	said := "the index is readable; nothing had to be rebuilt"
	if done.Rebuilt {
		said = "the index was rebuilt; the next mount sends what is unsent"
	}
	if _, err := fmt.Fprintln(out, said); err != nil || v.to == "" {
		return err
	}
	o, err := cache.OpenUnmounted(ctx, v.dir, v.log())
	if err != nil {
		return err
	}
	copies, err := o.CopyUnsent(ctx, v.to)
	if err = errors.Join(err, o.Close()); err != nil {
		return err
	}
	return showCopies(out, copies)
}
