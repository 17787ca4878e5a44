package programs

import "testing"

// TestPython uses Python's library of files: temporary files, trees, archives,
// mappings, locks, databases.
func TestPython(t *testing.T) {
	s := newSite(t, prompt())
	s.both("python", `TMPDIR=$PWD python3 -B "$DATA/files.py"`)
	s.elsewhere(timed)
}

// TestMaildir delivers mail from several processes, while another reads it.
func TestMaildir(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, `
mkdir -p box/{tmp,new,cur}
pids=; for i in 1 2 3; do python3 -B "$DATA/maildir.py" deliver box $i $((40 * SCALE)) & pids="$pids $!"; done
python3 -B "$DATA/maildir.py" read box $((3 * 40 * SCALE)); for p in $pids; do wait $p; done
python3 -B "$DATA/maildir.py" check box $((3 * 40 * SCALE))
test -z "$(ls box/tmp box/new | grep -v :)"`)
	m := s.elsewhere(timed)
	s.run(m.Dir, `python3 -B "$DATA/maildir.py" check box $((3 * 40 * SCALE))`)
}

// TestLogs rotates a log while a program writes it: copied and truncated, and
// renamed.
func TestLogs(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, `
python3 -B "$DATA/logs.py" write log $((20000 * SCALE)) & writer=$!
for i in 5 4 3 2 1; do
	until [ -s log ] && [ $(stat -c %s log) -gt 30000 ] || ! kill -0 $writer 2>/dev/null; do sleep 0.01; done
	for k in 4 3 2 1; do if [ -e log.$k ]; then mv log.$k log.$((k + 1)); fi; done
	cp -p log log.1; truncate -s 0 log
done
wait $writer; python3 -B "$DATA/logs.py" check log.5 log.4 log.3 log.2 log.1 log
gzip log.5 log.4; mv log log.0
python3 -B "$DATA/logs.py" reopen log $((20000 * SCALE)) & writer=$!
for i in 3 2 1; do
	until [ -s log ] && [ $(stat -c %s log) -gt 30000 ] || ! kill -0 $writer 2>/dev/null; do sleep 0.01; done
	mv log moved.$i
done
wait $writer; python3 -B "$DATA/logs.py" whole moved.3 moved.2 moved.1 log`)
	s.elsewhere(timed)
}
