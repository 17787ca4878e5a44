package main

import (
	"fmt"
	"slices"
	"strings"
)

// ignored are the options that mount(8) understands itself or that mean
// nothing here; fstab lines carry them, so a helper must take them.
var ignored = []string{
	"defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
	"relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
	"mand", "nomand", "silent", "loud", "iversion", "noiversion", "default_permissions", "big_writes",
	"fd", "rootmode", "user_id", "group_id", "max_read", // a remount repeats what the list of mounts shows
}

// secretNames are names under which people try to hand over a secret.
var secretNames = []string{"sse-c-key", "access-key", "access-key-id", "aws-access-key-id",
	"secret-key", "secret-access-key", "aws-secret-access-key", "session-token", "aws-session-token"}

// mountFlags are the options of -o that concern mount(2) and not moorfs.
type mountFlags struct {
	remount   bool
	nonempty  bool
	suid, dev bool     // asked for; off unless root asks
	words     []string // others that mount(2) is to be told
}

// dashO is what a -o argument said.
type dashO struct {
	layer layer
	flags mountFlags
}

// parseDashO reads the argument of -o: comma-separated options, "\," for a
// comma within one. With sloppy, unknown options are passed over, as
// mount(8) -s asks. Errors never repeat a value.
func parseDashO(arg string, sloppy bool) (dashO, error) {
	d := dashO{layer: layer{}}
	for _, item := range splitOptions(arg) {
		name, value, given := strings.Cut(item, "=")
		if name == "" && given {
			return d, fmt.Errorf("mount option %q needs a name", item[:1])
		}
		if name == "" || d.standard(name) {
			continue
		}
		o, ok := findOption(name)
		if !ok {
			if err := refuseSecret(name); err != nil {
				return d, err
			}
			if sloppy {
				continue
			}
			return d, fmt.Errorf("unknown mount option %q (see moorfs help mount)", name)
		}
		if !given {
			if o.bare == "" {
				return d, fmt.Errorf("option %s needs a value", o.name)
			}
			value = o.bare
		}
		if err := d.layer.set(o, value); err != nil {
			return d, err
		}
	}
	return d, nil
}

// standard takes the options that every filesystem has and reports whether
// name is one.
func (d *dashO) standard(name string) bool {
	switch name {
	case "ro":
		d.layer["read-only"] = []string{"true"}
	case "rw":
		delete(d.layer, "read-only")
	case "remount":
		d.flags.remount = true
	case "suid", "nosuid":
		d.flags.suid = name == "suid"
	case "dev", "nodev":
		d.flags.dev = name == "dev"
	case "nonempty":
		d.flags.nonempty = true
	case "noexec", "noatime", "nodiratime", "sync", "dirsync":
		d.flags.words = append(d.flags.words, name)
	case "exec", "atime", "diratime":
		d.flags.words = slices.DeleteFunc(d.flags.words, func(w string) bool { return w == "no"+name })
	case "async":
		d.flags.words = slices.DeleteFunc(d.flags.words, func(w string) bool { return w == "sync" })
	case "comment", "fsname", "subtype", "helper", "uhelper":
	default:
		return slices.Contains(ignored, name) || strings.HasPrefix(strings.ToLower(name), "x-")
	}
	return true
}

// refuseSecret returns an error that says where a secret belongs, if name is
// the name of one.
func refuseSecret(name string) error {
	if !slices.Contains(secretNames, strings.ReplaceAll(name, "_", "-")) {
		return nil
	}
	if strings.HasPrefix(name, "sse") {
		return fmt.Errorf("%s: a key is never given as an argument, others could read it there; use sse-c-key-file=FILE or MOORFS_SSE_C_KEY", name)
	}
	return fmt.Errorf("%s: a secret is never given as an argument, others could read it there; use ~/.aws/credentials, a profile or AWS_… variables", name)
}

// splitOptions splits at commas that are not escaped and takes the escapes
// away.
func splitOptions(s string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == ',' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == ',':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(out, b.String())
}
