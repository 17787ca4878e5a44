package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A helperCall is how mount(8) or umount(8) calls its helper.
type helperCall struct {
	args    []string // what is neither an option nor its value
	options []string // each -o
	fake    bool     // -f of mount: check, do nothing
	sloppy  bool     // -s: unknown options are no error
	lazy    bool     // -l of umount
}

// parseHelper reads the arguments of a helper, which may come in any order
// and have their letters joined. Options that mean nothing here are passed
// over.
func parseHelper(args []string) (helperCall, error) {
	var c helperCall
	for i := 0; i < len(args); i++ {
		letters, isOption := strings.CutPrefix(args[i], "-")
		if !isOption || letters == "" {
			c.args = append(c.args, args[i])
			continue
		}
		for j, letter := range letters {
			switch letter {
			case 'f':
				c.fake = true
			case 's':
				c.sloppy = true
			case 'l':
				c.lazy = true
			case 'n', 'v', 'r', 'w', 'i':
			case 'o', 't', 'N':
				value := letters[j+1:]
				if value == "" {
					if i++; i == len(args) {
						return c, fmt.Errorf("-%c needs a value", letter)
					}
					value = args[i]
				}
				if letter == 'o' {
					c.options = append(c.options, value)
				}
			default:
				return c, fmt.Errorf("unknown option -%c", letter)
			}
			if strings.ContainsRune("otN", letter) {
				break // the rest was its value
			}
		}
	}
	return c, nil
}

// mountHelper is /sbin/mount.moorfs SOURCE DIR [-sfnv] [-o OPTIONS] [-t TYPE].
func mountHelper(args []string) error {
	c, err := parseHelper(args)
	if err == nil && len(c.args) != 2 {
		err = errors.New("usage: mount.moorfs s3://BUCKET[/PREFIX] MOUNTPOINT [-o OPTIONS]")
	}
	if err == nil {
		err = c.mount()
	}
	return asHelper(err)
}

// libfuseHelper is moorfs as libfuse's mount.fuse calls it. As root that adds
// dev and suid of its own accord, which nobody has asked for.
func libfuseHelper(args []string) error {
	for i, a := range args {
		if i > 0 && args[i-1] == "-o" {
			args = slices.Clone(args)
			args[i] = strings.TrimSuffix(a, ",dev,suid")
		}
	}
	return mountHelper(args)
}

// asHelper gives a failure the exit status of mount(8). A daemon that ends
// unfinished is no failed mount.
func asHelper(err error) error {
	if err == nil {
		return nil
	}
	if e := new(exitError); errors.As(err, &e) {
		if e.code == exitUnfinished || e.err == nil {
			return err
		}
		err = e.err
	}
	return &exitError{code: exitHelper, err: err}
}

func (c helperCall) mount() error {
	src, err := parseSource(c.args[0])
	if err != nil {
		return err
	}
	env, err := fromEnvironment(os.Environ())
	if err != nil {
		return err
	}
	d, err := parseDashO(strings.Join(c.options, ","), c.sloppy)
	if err != nil {
		return err
	}
	req := mountRequest{src: src, dir: c.args[1], set: newSettings(env, d.layer), flags: d.flags}
	if err := checkSettings(req.set); err != nil {
		return err
	}
	if c.fake {
		return nil
	}
	return mountOrStart(req)
}

// umountHelper is /sbin/umount.fuse.moorfs DIR [-flnrv] [-t TYPE].
func umountHelper(args []string) error {
	c, err := parseHelper(args)
	if err == nil && len(c.args) != 1 {
		err = errors.New("usage: umount.moorfs MOUNTPOINT [-l]")
	}
	if err != nil {
		return usage(err)
	}
	return umount(umountRequest{dir: c.args[0], how: detach(c.lazy)})
}

// A umountRequest is an unmount that somebody asked for.
type umountRequest struct {
	dir   string
	limit time.Duration // of the drain; 0: as long as something moves
	how   detach
}
