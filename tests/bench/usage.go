package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A usage is what a daemon has used so far.
type usage struct {
	cpu  float64 // seconds
	peak int64   // bytes of the largest resident set
}

// ticks is the unit of times in /proc/PID/stat: USER_HZ, 100 on Linux.
const ticks = 100

// usageOf returns what a process has used; zero if there is none.
func usageOf(pid int) usage {
	var u usage
	if pid == 0 {
		return u
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // it may have ended
	_, rest, _ := strings.Cut(string(stat), ") ")             // the name may hold spaces
	if fields := strings.Fields(rest); len(fields) > 12 {
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		u.cpu = (user + system) / ticks
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
		u.peak = kib << 10
	}
	return u
}
