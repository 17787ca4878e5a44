package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// memoryLimit is the heap that the collector tries to stay under.
const memoryLimit = 200 << 20

func main() { os.Exit(run(os.Args)) }

// run acts as the program whose name the first argument is: moorfs itself or
// one of the helpers of mount(8) and umount(8).
func run(args []string) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if err := ensureEnvironment(); err != nil {
		return report(os.Stderr, err)
	}
	switch filepath.Base(args[0]) {
	case "mount.moorfs", "mount.fuse.moorfs":
		return report(os.Stderr, mountHelper(args[1:]))
	case "umount.moorfs", "umount.fuse.moorfs":
		return report(os.Stderr, umountHelper(args[1:]))
	}
	if len(args) > 2 && (strings.HasPrefix(args[1], "s3://") || strings.HasPrefix(args[1], "moorfs#")) {
		return report(os.Stderr, libfuseHelper(args[1:])) // mount.fuse calls us so
	}
	root := newRootCommand()
	root.SetArgs(joinValues(args[1:]))
	return report(os.Stderr, root.Execute())
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "moorfs",
		Short:         "Mount an S3 bucket as a filesystem",
		Long:          "moorfs mounts an S3 bucket, or a prefix of one, as a filesystem: one object is one file.\nA local cache makes it quick and brings every change to the bucket in the background.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(errors.New("unknown command " + args[0] + " (see moorfs help)"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newMountCommand(), newUmountCommand(), newStatusCommand(), newFlushCommand(), newConflictsCommand(),
		newCacheCommand(), newDemoCommand(), newVersionCommand())
	return root
}

// flagError adds to cobra's message where a secret belongs, or what may have
// been meant.
func flagError(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return usage(err)
	}
	if secret := refuseSecret(name); secret != nil {
		return usage(secret)
	}
	meant := ""
	letters := strings.NewReplacer("-", "", "_", "")
	for _, o := range mountOptions {
		if cmd.Flags().Lookup(o.name) != nil && isSlip(letters.Replace(name), letters.Replace(o.name)) {
			meant = o.name
		}
	}
	if meant != "" {
		return usage(fmt.Errorf("%w; did you mean --%s?", err, meant))
	}
	return usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
}

// isSlip reports whether one letter more, less or changed makes b of a.
func isSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	same := 0
	for same < len(a) && a[same] == b[same] {
		same++
	}
	a, b = a[same:], b[same:]
	return a == b || len(b) > 0 && (a == b[1:] || len(a) > 0 && a[1:] == b[1:])
}

// exactly is cobra.ExactArgs with our exit status.
func exactly(n int) cobra.PositionalArgs { return checked(cobra.ExactArgs(n)) }

// checked marks the errors of a check of arguments as wrong usage.
func checked(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err != nil {
			err = errors.New(err.Error() + "; usage: " + cmd.UseLine())
		}
		return usage(err)
	}
}

// interruptible returns a context that ends with the first interrupt.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
}
