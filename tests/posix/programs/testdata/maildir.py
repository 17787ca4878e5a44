"""Delivers mail into a maildir, reads it, and counts it."""
import mailbox
import os
import sys
import time

what, path = sys.argv[1:3]
box = mailbox.Maildir(path, create=True)


def message(worker, n):
    return f"From: {worker}\nSubject: {n}\n\nmail {n} of {worker}\n" + "line\n" * (n % 50)


def deliver(worker, count):
    for n in range(count):
        if n % 2:
            box.add(message(worker, n))
            continue
        # As delivery agents do it: tmp, synced, then linked or renamed to new.
        name = f"{time.time_ns()}.{os.getpid()}_{n}.host"
        temp, new = os.path.join(path, "tmp", name), os.path.join(path, "new", name)
        with open(temp, "x") as f:
            f.write(message(worker, n))
            f.flush()
            os.fsync(f.fileno())
        try:
            os.link(temp, new)
            os.unlink(temp)
        except PermissionError:  # a file has one name here
            os.rename(temp, new)


def read(count):
    """Moves all that arrives to cur with the flag S, a third of it to trash."""
    seen = set()
    deadline = time.monotonic() + 240
    while len(seen) < count:
        assert time.monotonic() < deadline, f"{len(seen)} of {count} mails arrived"
        for name in os.listdir(os.path.join(path, "new")):
            assert name not in seen, f"{name} arrives twice"
            seen.add(name)
            with open(os.path.join(path, "new", name)) as f:
                assert f.read().startswith("From: "), name
            os.rename(os.path.join(path, "new", name), os.path.join(path, "cur", name + ":2,"))
            flags = ":2,ST" if len(seen) % 3 == 0 else ":2,S"
            os.rename(os.path.join(path, "cur", name + ":2,"), os.path.join(path, "cur", name + flags))


def check(count):
    mails = sorted((m["From"], int(m["Subject"]), m.get_payload()) for m in box)
    want = sorted((str(w), n, message(w, n).split("\n\n", 1)[1]) for w in (1, 2, 3) for n in range(count // 3))
    assert mails == want, f"{len(mails)} mails, want {len(want)}"
    assert sum("T" in m.get_flags() for m in box) == count // 3


if what == "deliver":
    deliver(int(sys.argv[3]), int(sys.argv[4]))
elif what == "read":
    read(int(sys.argv[3]))
else:
    check(int(sys.argv[3]))
