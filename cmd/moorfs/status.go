package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/s3backend"
)

// answerTime bounds the wait for one daemon's status.
const answerTime = 10 * time.Second

// A statusReport is what moorfs status shows; --json prints it as it is.
type statusReport struct {
	Mounts []mountReport `json:"mounts"`
	Idle   []cacheNote   `json:"idle_caches"` // not mounted, with unsent work
}

// A mountReport is one mount; Error says why its daemon tells nothing.
type mountReport struct {
	Mount    registration          `json:"mount"`
	Cache    *cache.Status         `json:"cache,omitempty"`
	Requests map[string]int64      `json:"requests,omitempty"`
	Stuck    stuckRequests         `json:"stuck"`
	Faults   int64                 `json:"faults,omitempty"`
	Events   *s3backend.EventState `json:"events,omitempty"`
	daemonUse
	Error string `json:"error,omitempty"`
}

func newStatusCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status [MOUNTPOINT]",
		Short: "Show what is mounted, what is queued and what failed",
		Long:  "Show every mount of this machine that you may see, or one; and caches that are not mounted and hold unsent work.",
		Args:  checked(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := interruptible()
			defer cancel()
			show := func() error {
				r, err := collectStatus(ctx, args)
				if err != nil && len(r.Mounts)+len(r.Idle) == 0 {
					return err
				}
				return errors.Join(err, r.show(cmd.OutOrStdout(), asJSON))
			}
			if !watch {
				return show()
			}
			return every(ctx, 2*time.Second, func() error {
				if _, err := fmt.Fprint(cmd.OutOrStdout(), "\x1b[H\x1b[2J"); err != nil {
					return err
				}
				return show()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "again every two seconds, until interrupted")
	cmd.MarkFlagsMutuallyExclusive("json", "watch")
	return cmd
}

// every calls do, at once and then at intervals, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := do(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// collectStatus asks the daemons: of one mountpoint, or all.
func collectStatus(ctx context.Context, args []string) (statusReport, error) {
	r := statusReport{Mounts: []mountReport{}, Idle: []cacheNote{}}
	mounts, dying, err := registered()
	if err != nil {
		return r, err
	}
	if len(args) > 0 {
		dir, err := resolveDir(args[0])
		if err != nil {
			return r, fmt.Errorf("status: %w", err)
		}
		m, found, err := mountOf(dir)
		if err != nil {
			return r, err
		}
		if !found {
			return r, statusOfUnknown(dir)
		}
		mounts = []registration{m}
	}
	for _, m := range mounts {
		r.Mounts = append(r.Mounts, askStatus(ctx, m))
	}
	if len(args) > 0 {
		return r, nil
	}
	idle, unread := idleCaches()
	r.Idle = append(r.Idle, idle...)
	for _, m := range dying {
		r.Mounts = append(r.Mounts, mountReport{Mount: m, Error: "the daemon was killed and cannot end; moorfs umount or mount helps it"})
	}
	dead, err := deadMounts()
	for _, l := range dead {
		r.Mounts = append(r.Mounts, mountReport{Mount: registration{Mountpoint: l.target, Source: l.source}, Error: errDead.Error()})
	}
	return r, errors.Join(err, unread)
}

// statusOfUnknown says why there is no status of dir.
func statusOfUnknown(dir string) error {
	if err := whyUnknown(dir); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return fmt.Errorf("status: %s lies in no mount of moorfs", dir)
}

func askStatus(ctx context.Context, m registration) mountReport {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	a, err := ask(ctx, m.Socket, request{Op: opStatus}, nil)
	switch {
	case errors.Is(err, errNotOurs):
		return mountReport{Mount: m, Error: errNotOurs.Error()}
	case err != nil:
		return mountReport{Mount: m, Error: err.Error()}
	case a.Status == nil:
		return mountReport{Mount: m, Error: "the daemon tells nothing: is it of another version?"}
	}
	return a.Status.report()
}

func (r statusReport) show(w io.Writer, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	_, err := io.WriteString(w, r.text())
	return err
}
