package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

const demoBucket = "demo"

func newDemoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo [MOUNTPOINT]",
		Short: "Try it: a real S3 server on loopback with sample data, mounted",
		Long: `Start a real S3 server (versitygw, built from source at the first time, so run this in a checkout) on
loopback with sample data, and mount its bucket. --once runs a short tour by itself and leaves nothing behind.`,
		Args: checked(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := interruptible()
			defer cancel()
			d, err := prepareDemo(ctx, args)
			if err == nil {
				err = d.run(ctx, once)
			}
			return errors.Join(err, d.undo.run(err != nil))
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "run a short tour and leave")
	return cmd
}

// A demo is a server, its bucket and the mount of it.
type demo struct {
	server *s3test.Server
	bucket *s3test.Raw // a client that shares no code with the mount
	dir    string      // the mountpoint
	cache  string
	undo   undoStack
}

// prepareDemo starts the server and fills its bucket. What it returns must be
// undone even when it fails.
func prepareDemo(ctx context.Context, args []string) (*demo, error) {
	d := &demo{}
	say("building and starting an S3 server (versitygw) on loopback …")
	work, err := os.MkdirTemp("/var/tmp", "moorfs-demo-") // not on a tmpfs: the server needs xattrs
	if err != nil {
		return d, err
	}
	d.undo.push(always, func() error { return os.RemoveAll(work) })
	d.cache, d.dir = filepath.Join(work, "cache"), filepath.Join(work, "mnt")
	if len(args) > 0 {
		if d.dir, err = filepath.Abs(args[0]); err != nil {
			return d, err
		}
	} else if err := os.Mkdir(d.dir, 0o700); err != nil {
		return d, err
	}
	if d.server, err = s3test.Start(ctx, s3test.Config{Name: s3test.VersityGW, Dir: filepath.Join(work, "server")}); err != nil {
		return d, err
	}
	d.undo.push(always, d.server.Stop)
	if d.bucket, err = s3test.NewRaw(d.server, demoBucket); err != nil {
		return d, err
	}
	if err := d.bucket.CreateBucket(ctx); err != nil {
		return d, err
	}
	for key, body := range map[string]string{
		"readme.txt":          "This file was in the bucket before the mount.\n",
		"letters/anna.txt":    "Dear Anna,\nthe boat has arrived.\n",
		"letters/bert.txt":    "Dear Bert,\nso has mine.\n",
		"numbers/squares.csv": "1,1\n2,4\n3,9\n4,16\n",
	} {
		if err := d.bucket.Put(ctx, key, []byte(body), nil); err != nil {
			return d, err
		}
	}
	return d, nil
}

// run mounts the bucket and shows it: by a tour, or to a person until an
// interrupt.
func (d *demo) run(ctx context.Context, once bool) error {
	if err := d.moorfs(ctx, "mount", "s3://"+demoBucket, d.dir, "--endpoint-url", d.server.URL, "--cache-dir", d.cache); err != nil {
		return err
	}
	if once {
		if err := d.tour(ctx); err != nil {
			return errors.Join(err, d.moorfs(context.WithoutCancel(ctx), "umount", "--timeout", "5s", d.dir))
		}
		return nil
	}
	say("\ns3://%s is mounted on %s. In another shell try\n\n"+
		"  ls -lR %[2]s\n  cat %[2]s/letters/anna.txt\n  echo hello > %[2]s/hello.txt\n  getfattr -n user.moorfs.state %[2]s/hello.txt\n  moorfs status\n  moorfs flush %[2]s\n\n"+
		"The server is %[3]s, access key %[4]s, secret key %[5]s: any S3 tool sees the same files.\nInterrupt (Ctrl-C) to unmount and leave.",
		demoBucket, d.dir, d.server.URL, d.server.Access, d.server.Secret)
	<-ctx.Done()
	say("")
	return d.moorfs(context.WithoutCancel(ctx), "umount", "--timeout", "60s", d.dir)
}

// tour writes and reads through the mount and looks at the bucket with
// another client. Every step is checked.
func (d *demo) tour(ctx context.Context) error {
	if err := d.shell(ctx, "ls -R ."); err != nil {
		return err
	}
	if err := d.shell(ctx, "cat letters/anna.txt"); err != nil {
		return err
	}
	if err := d.shell(ctx, "mkdir notes && seq 1 100000 > notes/count.txt && mv readme.txt notes/ && wc -l notes/*"); err != nil {
		return err
	}
	if err := d.moorfs(ctx, "flush", d.dir); err != nil {
		return err
	}
	if err := d.moorfs(ctx, "status", d.dir); err != nil {
		return err
	}
	if err := d.moorfs(ctx, "umount", d.dir); err != nil {
		return err
	}
	say("\nThe bucket, as another S3 client lists it:")
	return d.compare(ctx)
}

// compare lists the bucket and checks that the tour's changes are in it.
func (d *demo) compare(ctx context.Context) error {
	objects, err := d.bucket.List(ctx, "")
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, o := range objects {
		say("  %8d  %s", o.Size, o.Key)
		keys[o.Key] = true
	}
	_, body, err := d.bucket.Get(ctx, "notes/count.txt")
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(body, []byte("1\n2\n")) || !bytes.HasSuffix(body, []byte("\n100000\n")) {
		return fmt.Errorf("notes/count.txt is not in the bucket as it was written (%d bytes)", len(body))
	}
	if !keys["notes/readme.txt"] || keys["readme.txt"] {
		return errors.New("the bucket does not show that readme.txt was moved")
	}
	say("\nAll of it is there. Everything of the demo is removed again.")
	return nil
}

// moorfs runs a verb in another process: one that serves a mount must not use
// it.
func (d *demo) moorfs(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	say("$ moorfs %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), s3test.Environ()...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("moorfs %s: %w", args[0], err)
	}
	return nil
}

// shell runs a command in the mount.
func (d *demo) shell(ctx context.Context, command string) error {
	say("$ %s", command)
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = d.dir
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
