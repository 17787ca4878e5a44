package fs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// isMember reports whether who is root or in a group. A request carries only
// one group of its caller; the others are asked of the kernel, in vain if the
// caller is gone or in another pid namespace.
func isMember(who fuse.Caller, gid uint32) bool {
	if who.Uid == 0 || who.Gid == gid {
		return true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", who.Pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if groups, ok := strings.CutPrefix(line, "Groups:"); ok {
			return slices.Contains(strings.Fields(groups), strconv.FormatUint(uint64(gid), 10))
		}
	}
	return false
}
