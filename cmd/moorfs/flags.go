package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A flagValue is one option as a flag; it puts what it is given into a layer.
type flagValue struct {
	option option
	into   layer
}

// Set implements pflag.Value.
func (v flagValue) Set(s string) error {
	return v.into.set(v.option, s)
}

// String implements pflag.Value. The default stands in the help.
func (v flagValue) String() string { return "" }

// Type implements pflag.Value.
func (v flagValue) Type() string { return v.option.values() }

// addMountFlags gives cmd a flag for every mount option, whose values go into
// the layer returned.
func addMountFlags(cmd *cobra.Command) layer {
	l := layer{}
	for _, o := range mountOptions {
		help := o.help
		if o.def != "" && o.kind != yesno {
			help += fmt.Sprintf(" (default %s)", o.def)
		}
		short := ""
		if o.name == "foreground" {
			short = "f"
		}
		f := cmd.Flags().VarPF(flagValue{option: o, into: l}, o.name, short, help)
		f.NoOptDefVal = o.bare
	}
	return l
}

// joinValues writes "--sse aws:kms" as "--sse=aws:kms" for the options whose
// value may be left out; a flag parser would take the value for an argument.
func joinValues(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		name, isLong := strings.CutPrefix(args[i], "--")
		o, ok := findOption(name)
		if isLong && ok && o.bare != "" && i+1 < len(args) && o.takes(args[i+1]) {
			out = append(out, args[i]+"="+args[i+1])
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// takes reports whether s, an argument of its own, is a value of o.
func (o option) takes(s string) bool {
	switch o.kind {
	case choice:
		return slices.Contains(o.choices, s)
	case toggle:
		return s == "on" || s == "off" || s == "auto"
	}
	return false
}
