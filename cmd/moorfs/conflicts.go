package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moorfs/moorfs/cache"
)

// A winner is the side for which a conflict is decided.
type winner string

const (
	mineWins   winner = opKeepMine
	theirsWins winner = opKeepTheirs
)

func newConflictsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conflicts",
		Short: "Show and decide what was changed here and in the bucket",
		Long: `Files that were changed here while others changed them in the bucket. The bucket's version has the name; ours
is beside it, or with --on-conflict theirs in the cache alone, until somebody decides. To remove or rename the file
beside it decides, too.`,
		Args: checked(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConflictsListCommand(), newKeepCommand(mineWins, "Make our file the content of the original name, in place of theirs"),
		newKeepCommand(theirsWins, "Remove our file"))
	return cmd
}

func newConflictsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [DIR]",
		Short: "Show the conflicts below a directory, or in all your mounts",
		Args:  checked(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := interruptible()
			defer cancel()
			all, err := listConflicts(ctx, args)
			if err != nil {
				return fmt.Errorf("conflicts: %w", err)
			}
			return showConflicts(cmd.OutOrStdout(), all, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newKeepCommand(side winner, short string) *cobra.Command {
	return &cobra.Command{
		Use:   string(side) + " PATH|ID...",
		Short: short,
		Long:  short + ".\nPATH is that of the original or of the file beside it; ID is as listed.",
		Args:  checked(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, cancel := interruptible()
			defer cancel()
			for _, arg := range args {
				if err := keep(ctx, side, arg); err != nil {
					return fmt.Errorf("%s %s: %w", side, arg, err)
				}
			}
			return nil
		},
	}
}

// A mountConflict is a conflict in one of the mounts, with full paths.
type mountConflict struct {
	ID         string    `json:"id"`
	Mountpoint string    `json:"mountpoint"`
	Original   string    `json:"original"`       // the file that others changed, too
	Ours       string    `json:"ours,omitempty"` // our file; empty: it is only in the cache
	Size       int64     `json:"size"`           // of ours
	When       time.Time `json:"when"`

	mount registration
}

// listConflicts asks the daemons for conflicts below a directory; without one,
// for all.
func listConflicts(ctx context.Context, dirs []string) ([]mountConflict, error) {
	targets, err := flushTargets(dirs)
	if err != nil {
		return nil, err
	}
	all := []mountConflict{}
	for _, t := range targets {
		below := filepath.Join(t.mount.Mountpoint, inJSON(t.path))
		found, err := conflictsOf(ctx, t.mount)
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			if within(x.Original, below) || x.Ours != "" && within(x.Ours, below) {
				all = append(all, x)
			}
		}
	}
	return all, nil
}

func conflictsOf(ctx context.Context, m registration) ([]mountConflict, error) {
	r, err := ask(ctx, m.Socket, request{Op: opConflicts}, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Mountpoint, err)
	}
	all := make([]mountConflict, 0, len(r.Conflicts))
	for _, x := range r.Conflicts {
		c := mountConflict{ID: x.ID, Mountpoint: m.Mountpoint, Original: m.Mountpoint + "/" + x.Name, Size: x.Size, When: x.When, mount: m}
		if x.File != "" {
			c.Ours = m.Mountpoint + "/" + x.File
		}
		all = append(all, c)
	}
	return all, nil
}

func showConflicts(out io.Writer, all []mountConflict, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no conflicts")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, x := range all {
		ours := "only in the cache"
		if x.Ours != "" {
			ours = "ours is " + printable(filepath.Base(x.Ours))
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.ID, x.When.Local().Format(time.DateTime), bytesText(x.Size), printable(x.Original), ours); err != nil {
			return err
		}
	}
	return w.Flush()
}

// printable quotes a name that would disturb a line of a terminal.
func printable(name string) string {
	if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// plainText is a message in which names may have left what would disturb a line
// of a terminal.
func plainText(message string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, message)
}

// keep decides one conflict.
func keep(ctx context.Context, side winner, arg string) error {
	x, err := findConflict(ctx, arg)
	if err != nil {
		return err
	}
	_, err = ask(ctx, x.mount.Socket, request{Op: string(side), ID: x.ID}, nil)
	return err
}

// findConflict finds the conflict that arg names: by ID, or by the path of one
// of its files.
func findConflict(ctx context.Context, arg string) (mountConflict, error) {
	byID := strings.HasPrefix(arg, "conflict-") && !strings.Contains(arg, "/")
	if _, err := os.Lstat(arg); err == nil {
		byID = false
	}
	var where []string
	var file string
	if !byID {
		t, err := targetOf(arg)
		if err != nil {
			return mountConflict{}, err
		}
		where, file = []string{t.mount.Mountpoint}, t.mount.Mountpoint+"/"+inJSON(t.path)
	}
	all, err := listConflicts(ctx, where)
	if err != nil {
		return mountConflict{}, err
	}
	var fits []mountConflict
	for _, x := range all {
		if byID && x.ID == arg || !byID && x.Ours == file {
			fits = append(fits, x)
		}
	}
	if len(fits) == 0 && !byID {
		for _, x := range all {
			if x.Original == file {
				fits = append(fits, x)
			}
		}
	}
	return onlyOne(fits)
}

func onlyOne(fits []mountConflict) (mountConflict, error) {
	switch len(fits) {
	case 0:
		return mountConflict{}, cache.ErrNoConflict
	case 1:
		return fits[0], nil
	}
	which := make([]string, 0, len(fits))
	for _, x := range fits {
		which = append(which, x.ID+" in "+x.Mountpoint)
	}
	return mountConflict{}, errors.New("several conflicts; name one by its ID or the path of our file: " + strings.Join(which, ", "))
}

// whereOurs says where our side of a conflict is.
func whereOurs(x cache.ConflictInfo) string {
	if x.Parked == "" {
		return "ours is only in the cache"
	}
	return fmt.Sprintf("ours is beside it as %q", filepath.Base(x.File))
}
