package posix

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// A suite is the cases of one system call, as templates: each line is a user
// and a call (worker_*_test.go has them). {a b c,d} in a line stands for each
// of its words in turn, the last of which are "c d" here; $kind for each word of lists["kind"], the same wherever
// it appears in the case: a template with two of them is a case for each pair.
// An empty line separates the templates of one text.
type suite []string

var lists = map[string][]string{
	"user": {"root", "alice", "bob"},
	"main": {"root", "alice"},
	"who":  {"alice", "bob"},
	"kind": {"file", "dir", "fifo", "sock", "chr", "blk", "link"},
	"node": {"file", "dir", "fifo", "sock", "chr", "blk"}, // all that have a mode
	"bits": {"0", "0777", "0644", "01755", "02755", "04755", "06711", "06755", "07777", "02644", "06666"},
}

// cases returns the cases of a suite, as lines: of each template at most most,
// chosen by random.
func (s suite) cases(most int, random *rand.Rand) (all [][]string) {
	for _, text := range s {
		for template := range strings.SplitSeq(text, "\n\n") {
			expanded := expand(template)
			random.Shuffle(len(expanded), func(i, j int) { expanded[i], expanded[j] = expanded[j], expanded[i] })
			for _, script := range expanded[:min(most, len(expanded))] {
				if script := lines(script); len(script) > 0 {
					all = append(all, script)
				}
			}
		}
	}
	return all
}

func lines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

var (
	variable = regexp.MustCompile(`\$([a-z]+)`)
	choices  = regexp.MustCompile(`\{([^{}]*)\}`)
	choice   = regexp.MustCompile(`"(\\.|[^"\\])*"|[^ "]+`)
)

// expand returns a template for each choice of its first variable or braces,
// and of what follows.
func expand(template string) []string {
	if m := variable.FindStringSubmatch(template); m != nil {
		values, ok := lists[m[1]]
		if !ok {
			panic(fmt.Sprintf("no list %q in %s", m[1], template))
		}
		var all []string
		for _, v := range values {
			all = append(all, expand(strings.ReplaceAll(template, m[0], v))...)
		}
		return all
	}
	at := choices.FindStringSubmatchIndex(template)
	if at == nil {
		return []string{template}
	}
	var all []string
	for _, word := range choice.FindAllString(template[at[2]:at[3]], -1) {
		all = append(all, expand(template[:at[0]]+strings.ReplaceAll(word, ",", " ")+template[at[1]:])...)
	}
	return all
}
