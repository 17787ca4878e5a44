package powercut_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
)

var journalCuts = flag.Int("powercut.journal", 6, "how often the power is cut under a journal")

// journalEnv makes the test binary a process that writes to the journal there.
const journalEnv = "MOORFS_TEST_JOURNAL"

// bootEnv is the boot such a process is told to be of.
const bootEnv = "MOORFS_TEST_JOURNAL_BOOT"

func openJournal(dir, boot string) (*journal.DB, error) {
	db, _, err := journal.Open(journal.Options{Dir: dir, Boot: boot, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Identity: journal.Identity{Endpoint: "e", Bucket: "b"}})
	return db, err
}

// counters is how many goroutines write to the journal at once.
const counters = 4

// writeJournal counts in notes, and says on stdout up to where each is durable.
func writeJournal(dir string) error {
	db, err := openJournal(dir, os.Getenv(bootEnv))
	if err != nil {
		return err
	}
	from, err := counted(db)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for i, n := range from {
		go func() { errs <- count(db, i, n) }()
	}
	return <-errs
}

func count(db *journal.DB, i, n int) error {
	fill := make([]byte, 2000)
	for {
		for range 1 + rand.IntN(40) {
			n++
			err := db.Update("test", func(tx *journal.Tx) error {
				return errors.Join(tx.PutNote(counterName(i), []byte(strconv.Itoa(n))),
					tx.PutNote(fmt.Sprint("fill-", i, "-", n%5000), fill[:rand.IntN(len(fill))]))
			})
			if err != nil {
				return err
			}
		}
		if err := db.Sync(); err != nil {
			return err
		}
		fmt.Printf("%d %d\n", i, n)
	}
}

func counterName(i int) string { return fmt.Sprint("count-", i) }

func counted(db *journal.DB) (n [counters]int, err error) {
	err = db.View(func(tx *journal.Tx) error {
		for i := range n {
			b, found, err := tx.Note(counterName(i))
			if err == nil && found {
				n[i], err = strconv.Atoi(string(b))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// What a journal calls durable survives power cuts, and it opens after each.
func TestJournal(t *testing.T) {
	w := start(t)
	dir := w.path("db")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	boot := "boot 0"
	for round := range *journalCuts {
		var durable [counters]int
		for range 1 + random.IntN(2) { // a kill or two, then the power goes
			w.writeAndDie(dir, boot, time.Duration(random.IntN(600))*time.Millisecond, &durable)
		}
		boot = fmt.Sprint("boot ", round+1)
		w.cut([]powercut.Fate{powercut.Nothing, powercut.Some, powercut.Zeros}[round%3], random.Uint64())
		db, err := openJournal(dir, boot)
		w.must(err)
		n, err := counted(db)
		w.must(err)
		for i := range n {
			if n[i] < durable[i] {
				t.Fatalf("round %d: %d is durable, %d is there", round, durable, n)
			}
		}
		w.must(db.Close())
	}
}

// writeAndDie has a process write for a while, kills it, and notes what it
// called durable.
func (w *world) writeAndDie(dir, boot string, after time.Duration, durable *[counters]int) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), journalEnv+"="+dir, bootEnv+"="+boot)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(harness.Spawn(cmd))
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var i, n int
		_, err := fmt.Sscan(lines.Text(), &i, &n)
		w.must(err)
		durable[i] = n
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		w.t.Fatalf("the writer ended by itself: %v", err)
	}
}
