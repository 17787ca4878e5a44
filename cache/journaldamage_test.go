package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Whatever happens to one of the journal's files while nothing runs: every
// closed file arrives, after a kill and after an orderly end.
func TestDamagedJournalFiles(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "closed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.listed(Root)
			want := map[string]string{}
			for i := range uint64(12) {
				name := fmt.Sprint("f", i)
				b.write(Root, name, someBytes(int(1000*i), i))
				want["p/"+name] = string(someBytes(int(1000*i), i))
				if i == 5 {
					b.ok(b.syncAll())
				}
			}
			from := t.TempDir()
			if how == "closed" {
				b.ok(b.Cache.Close())
				b.copyTo(from)
				b.open()
			} else {
				b.copyTo(from)
			}
			files, err := filepath.Glob(filepath.Join(from, "db", "*"))
			b.ok(err)
			for _, file := range files {
				for _, damage := range []string{"flip early", "flip late", "cut", "empty", "gone"} {
					base := filepath.Base(file)
					records := base == "MANIFEST" || filepath.Ext(base) == ".sst" || filepath.Ext(base) == ".mem"
					if base == "LOCK" || !records && damage != "gone" && damage != "flip early" {
						continue
					}
					t.Run(base+" "+damage, func(t *testing.T) {
						dir := t.TempDir()
						b.ok(os.CopyFS(filepath.Join(dir, "c"), os.DirFS(from)))
						b.ok(harm(filepath.Join(dir, "c", "db", base), damage))
						after := newBench(t, func(c *Config) { mem := c.Remote; *c = b.cfg; c.Remote, c.Dir = mem, filepath.Join(dir, "c") })
						after.ok(after.drainSoon())
						after.noConflicts()
						after.bucket(want)
					})
				}
			}
		})
	}
}

// harm damages a file.
func harm(name, how string) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	end := len(data) // of what was written
	for end > 0 && data[end-1] == 0 {
		end--
	}
	switch how {
	case "gone":
		return os.Remove(name)
	case "empty":
		return os.Truncate(name, 0)
	case "cut":
		return os.Truncate(name, int64(end/2))
	case "flip early":
		end = end / 4
	case "flip late":
		end = end * 9 / 10
	}
	if end >= len(data) {
		return nil
	}
	data[end] ^= 0x10
	return os.WriteFile(name, data, 0o600)
}
