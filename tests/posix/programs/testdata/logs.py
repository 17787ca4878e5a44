"""Writes numbered lines to a log, and looks for damage after its rotation."""
import os
import sys
import time

what, names = sys.argv[1], sys.argv[2:]


def lines(names):
    for name in names:
        with open(name, "rb") as f:
            data = f.read()
        assert b"\0" not in data, f"{name} has a hole"
        assert not data or data.endswith(b"\n"), f"{name} ends with half a line"
        for line in data.splitlines():
            number, text = line.split(b" ", 1)
            assert text == b"a line of the log", f"{name}: {line}"
            yield int(number)


def write(path, count, reopen):
    f = open(path, "ab", buffering=0)
    for n in range(count):
        if reopen:
            try:
                same = os.path.samestat(os.stat(path), os.fstat(f.fileno()))
            except FileNotFoundError:
                same = False
            if not same:
                f.close()
                f = open(path, "ab", buffering=0)
        f.write(b"%d a line of the log\n" % n)
        if n % 500 == 499:
            time.sleep(0.02)


if what in ("write", "reopen"):
    write(names[0], int(names[1]), what == "reopen")
else:
    found = list(lines(names))
    # Between the copy and the truncation lines may be lost, never repeated.
    assert found == sorted(set(found)), "lines are out of order or twice there"
    assert found[0] == 0 and len(found) > 5000, len(found)
    assert what == "check" or found == list(range(len(found))), "lines are missing"
