"""Saves a file as careful programs do: beside it, synced, renamed over it, its
directory synced."""
import os
import sys
import tempfile

path = sys.argv[1]
with open(path) as f:
    text = f.read().replace("old", "new")
directory = os.path.dirname(os.path.abspath(path))
fd, temp = tempfile.mkstemp(dir=directory)
with os.fdopen(fd, "w") as f:
    f.write(text)
    f.flush()
    os.fsync(f.fileno())
os.chmod(temp, os.stat(path).st_mode & 0o7777)
os.replace(temp, path)
fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
os.fsync(fd)
os.close(fd)
