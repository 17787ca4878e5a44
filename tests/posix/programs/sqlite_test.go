package programs

import (
	"strings"
	"testing"
)

// TestSQLite lets several processes write into one database, through a
// rollback journal and through a write-ahead log in shared memory, while it is
// being uploaded.
func TestSQLite(t *testing.T) {
	for _, mode := range []string{"DELETE", "TRUNCATE", "PERSIST", "WAL"} {
		t.Run(mode, func(t *testing.T) { sqlite(t, mode) })
	}
}

func sqlite(t *testing.T, mode string) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, strings.ReplaceAll(`
q() { sqlite3 -bail -cmd '.timeout 60000' "$@"; }
test "$(q db 'PRAGMA journal_mode=MODE')" = "$(echo MODE | tr A-Z a-z)"
q db 'CREATE TABLE t(id INTEGER PRIMARY KEY, worker, n, body); CREATE INDEX i ON t(worker, n);'
worker() {
	for n in $(seq $((8 * SCALE))); do
		echo "PRAGMA journal_mode=MODE; PRAGMA synchronous=FULL; BEGIN IMMEDIATE;"
		echo "INSERT INTO t(worker, n, body) SELECT $1, $n, randomblob(700) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3);"
		echo "UPDATE t SET body = randomblob(900) WHERE worker = $1 AND n = $n - 1; COMMIT;"
		echo "BEGIN IMMEDIATE; DELETE FROM t WHERE worker = $1; ROLLBACK; SELECT count(*) FROM t;"
	done | q db >/dev/null
}
pids=; for w in 1 2 3 4; do worker $w & pids="$pids $!"; done
for i in 1 2 3; do test "$(q db 'PRAGMA quick_check')" = ok; done
for p in $pids; do wait $p; done
test "$(q db 'PRAGMA integrity_check')" = ok
test "$(q db 'SELECT count(*) FROM t')" = $((4 * 8 * SCALE * 3))
q db "VACUUM; ANALYZE;" ".backup copy" ".output dump" .dump; q -readonly db 'SELECT max(n) FROM t'
q restored <dump; q db 'DELETE FROM t WHERE n % 2; PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE)'
`, "MODE", mode))
	m := s.elsewhere(timed)
	s.run(m.Dir, `for f in db copy restored; do test "$(sqlite3 "$f" 'PRAGMA integrity_check')" = ok; done; sqlite3 db 'INSERT INTO t(n) VALUES (1)'`)
	if mode == "WAL" {
		s.run(m.Dir, `test ! -e db-wal; test ! -e db-shm`)
	}
}
