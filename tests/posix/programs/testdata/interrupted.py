"""Uses files while a timer interrupts every call: a program whose handler
restarts nothing sees no call fail on a local disk."""
import os
import signal
import sys

count = 0


def tick(_signal, _frame):
    global count
    count += 1


signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for path, _, names in os.walk(sys.argv[1], onerror=lambda e: sys.exit(str(e))):
    for name in names:
        name = os.path.join(path, name)
        os.stat(name)
        with open(name, "rb") as f:
            f.read()
        os.utime(name)
        os.rename(name, name + ".moved")
signal.setitimer(signal.ITIMER_REAL, 0)
print("interrupted" if count >= 12 else f"only {count} signals")
