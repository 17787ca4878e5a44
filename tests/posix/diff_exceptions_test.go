package posix

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An exception is a difference between moorfs and ext4 that users are told of
// in fs/SEMANTICS.md.
type exception struct {
	calls  []string // names of calls
	reason string
	holds  func(d *discrepancy) bool
}

var exceptions = []exception{
	{[]string{"link", "linkfd", "linkempty"}, "an object has one name",
		func(d *discrepancy) bool { return d.answers("EPERM", "ok") }},
	{[]string{"chown", "lchown", "fchown"}, "a chown of nothing is not refused",
		func(d *discrepancy) bool { return d.says(" - -") && d.answers("ok", "EPERM") }},
	{[]string{"rename"}, "RENAME_WHITEOUT is for layers of overlayfs",
		func(d *discrepancy) bool { return d.says("RENAME_WHITEOUT") && d.ours == "EINVAL" }},
	{[]string{"fallocate"}, "ranges cannot be taken out of a file or put into it",
		func(d *discrepancy) bool { return d.says("COLLAPSE_RANGE", "INSERT_RANGE") && d.ours == "ENOTSUP" }},
	{[]string{"mkdir", "open", "mknod", "mkfifo", "symlink", "rename"}, "names with %= stand for odd keys",
		func(d *discrepancy) bool { return d.says("%=") && d.ours == "EINVAL" }},
	{[]string{"write", "read", "open"}, "what goes through a fifo leaves its times",
		func(d *discrepancy) bool { return onlyTimes(d) && fifo.MatchString(d.ours) }},
	{[]string{"read", "pread", "sendfile", "copy"}, "a read that the kernel answers leaves the access time",
		func(d *discrepancy) bool { return onlyAccess(d) && (d.result == `""` || d.result == "0") }},
	{[]string{"lseek"}, "where a directory ends is nobody's to know",
		func(d *discrepancy) bool {
			return d.says("SEEK_END") && slices.Contains([]string{"EINVAL", "9223372036854775807"}, d.theirs)
		}},
	{[]string{"utimens", "futimens"}, "times lie between 1677 and 2262",
		func(d *discrepancy) bool { return farTime.MatchString(d.line) && onlyTimes(d) }},
	{[]string{"setxattr", "getxattr", "removexattr", "lsetxattr", "lgetxattr", "lremovexattr"}, "attributes other than user.* have no place",
		func(d *discrepancy) bool { return d.says(" security.", " trusted.", " system.") && d.ours == "ENOTSUP" }},
	{[]string{"setxattr", "lsetxattr", "fsetxattr"}, "the metadata of an object holds 2 KiB",
		func(d *discrepancy) bool { return d.answers("ENOSPC", "ok") }},
	{[]string{"truncate", "ftruncate", "fallocate", "pwrite", "pread", "lseek", "copy"}, "the largest size of a file is another",
		func(d *discrepancy) bool { return farOffset.MatchString(d.line) }},
	{[]string{"deep", "mkdir", "open", "mknod", "mkfifo", "symlink", "rename"}, "a key has at most 1,024 bytes",
		func(d *discrepancy) bool {
			return d.answers("ENAMETOOLONG", "ok") && keyLength(d.line) > maxKey-len("case1000000/")
		}},
}

// maxKey is S3's limit.
const maxKey = 1024

var (
	fifo      = regexp.MustCompile(` 001\d{4} `)
	farTime   = regexp.MustCompile(` -?\d{10,}`)
	farOffset = regexp.MustCompile(`\b(17592186044\d{3}|9223372036854775807)\b`)
	times     = regexp.MustCompile(` [amc]=\S+`)
	access    = regexp.MustCompile(` a=\S+`)
)

func excepted(d *discrepancy) bool {
	name := callName(d.line)
	return slices.ContainsFunc(exceptions, func(e exception) bool { return slices.Contains(e.calls, name) && e.holds(d) })
}

func (d *discrepancy) answers(ours, theirs string) bool { return d.ours == ours && d.theirs == theirs }

func (d *discrepancy) says(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(d.line, w) })
}

func onlyTimes(d *discrepancy) bool {
	return times.MatchString(d.ours) && times.ReplaceAllString(d.ours, "") == times.ReplaceAllString(d.theirs, "")
}

func onlyAccess(d *discrepancy) bool {
	return access.MatchString(d.ours) && access.ReplaceAllString(d.ours, "") == access.ReplaceAllString(d.theirs, "")
}

// keyLength returns about how long the longest key is that a line makes.
func keyLength(line string) int {
	n := 0
	words := split(line)
	for _, word := range words {
		n = max(n, len(word))
	}
	if depth, err := strconv.Atoi(words[len(words)-1]); err == nil && words[1] == "deep" {
		n *= depth
	}
	return n
}
