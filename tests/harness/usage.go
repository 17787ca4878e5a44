package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on Linux.
const clockTick = 10 * time.Millisecond

// PeakRSS returns the daemon's largest resident set so far, in bytes; zero
// once it has ended.
func (m *Mount) PeakRSS() int64 {
	return m.memory("VmHWM:")
}

// Memory returns how many bytes of memory of its own the daemon has now; zero
// once it has ended. Pages of files that it maps, which the kernel takes back
// when it likes, do not count.
func (m *Mount) Memory() int64 { return m.memory("RssAnon:") }

// Descriptors returns how many files the daemon has open; zero once it has
// ended.
func (m *Mount) Descriptors() int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.Pid()))
	if err != nil {
		return 0
	}
	return len(open)
}

func (m *Mount) memory(field string) int64 {
	for line := range strings.Lines(m.procFile("status")) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// CPU returns the processor time the daemon has used; zero once it has ended.
func (m *Mount) CPU() time.Duration {
	stat := m.procFile("stat")
	_, rest, ok := strings.Cut(stat, ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * clockTick
}

func (m *Mount) procFile(name string) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.Pid(), name))
	if err != nil {
		return ""
	}
	return string(data)
}
