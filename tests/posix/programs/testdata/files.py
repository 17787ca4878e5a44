"""What programs do with Python's library of files, in the working directory."""
import contextlib
import dbm.dumb
import fcntl
import filecmp
import gzip
import hashlib
import json
import mmap
import os
import pathlib
import shelve
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile

here = pathlib.Path.cwd()


def temporary():
    with tempfile.TemporaryFile() as f:
        f.write(b"nameless" * 1000)
        f.seek(0)
        print(hashlib.md5(f.read()).hexdigest(), os.fstat(f.fileno()).st_nlink)
    with tempfile.NamedTemporaryFile(delete=False) as f:
        f.write(b"named")
    print(stat.filemode(os.stat(f.name).st_mode))
    os.replace(f.name, "kept")
    with tempfile.TemporaryDirectory() as d:
        for i in range(20):
            pathlib.Path(d, f"f{i}").write_text("x" * i)
    with tempfile.SpooledTemporaryFile(max_size=10) as f:
        f.write(b"rolls over to a file")
    fd, path = tempfile.mkstemp(suffix=".x", dir=here)
    os.write(fd, b"abc")
    os.unlink(path)
    os.lseek(fd, 0, os.SEEK_SET)
    print(os.read(fd, 10), os.fstat(fd).st_nlink)
    os.close(fd)


def trees():
    for i in range(6):
        d = here / "src" / f"d{i}" / "e"
        d.mkdir(parents=True)
        (d / "data").write_bytes(bytes(range(256)) * i)
        (d / "run.sh").write_text("#!/bin/sh\necho ran\n")
        (d / "run.sh").chmod(0o755)
        (d / "link").symlink_to("data")
    os.utime("src/d1/e/data", ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    print(subprocess.check_output([here / "src/d1/e/run.sh"]))
    shutil.copytree("src", "copy", symlinks=True)
    shutil.copytree("src", "copy", symlinks=False, dirs_exist_ok=True, ignore=shutil.ignore_patterns("link"))
    print(os.stat("copy/d1/e/data").st_mtime_ns, filecmp.dircmp("src", "copy").diff_files)
    shutil.rmtree("copy/d3")
    shutil.move("copy/d4", "moved")
    shutil.move("copy/d1/e/data", "moved/e/other")
    for kind in "zip", "tar", "gztar":
        archive = shutil.make_archive("archive", kind, "src")
        shutil.unpack_archive(archive, f"from-{kind}")
        print(kind, sorted(str(p.relative_to(f"from-{kind}")) for p in pathlib.Path(f"from-{kind}").rglob("*")))
        os.remove(archive)  # it holds times
    shutil.rmtree("from-tar")
    print(sorted(str(p.relative_to(here)) for p in here.glob("**/data")), shutil.disk_usage(".").free > 0)


def contents():
    with zipfile.ZipFile("grows.zip", "w") as z:
        z.writestr(zipfile.ZipInfo("a"), "first")
    with zipfile.ZipFile("grows.zip", "a") as z:
        z.writestr(zipfile.ZipInfo("b"), "second" * 1000)
    print(zipfile.ZipFile("grows.zip").testzip(), zipfile.ZipFile("grows.zip").namelist())
    with open("mapped", "w+b") as f:
        f.truncate(300_000)
        with mmap.mmap(f.fileno(), 0) as m:
            m[150_000:150_005] = b"hello"
            m.flush()
            m[299_999] = 1
        f.seek(149_999)
        print(f.read(7))
    with open("mapped", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        m[0:4] = b"mine"
        print(m.find(b"hello"), os.pread(f.fileno(), 4, 0))
    with shelve.Shelf(dbm.dumb.open("shelf", "c")) as s:
        for i in range(50):
            s[str(i)] = {"n": i}
    with shelve.Shelf(dbm.dumb.open("shelf", "w")) as s:
        print(s["7"], len(s))
    with gzip.GzipFile("text.gz", "wb", mtime=0) as f:
        f.write(b"text\n" * 10_000)
    with open("a+", "a+") as f:
        json.dump([1, 2], f)
        f.seek(0)
        print(json.load(f))
        f.write("\n")
    with open("odd", "wb") as f:
        os.pwrite(f.fileno(), b"tail", 100_000)
        os.writev(f.fileno(), [b"he", b"ad"])
        os.posix_fallocate(f.fileno(), 200_000, 1000)
    fd = os.open("odd", os.O_RDONLY)
    print(os.stat("odd").st_size, os.pread(fd, 6, 99_999), os.lseek(fd, 0, os.SEEK_DATA))
    os.copy_file_range(fd, os.open("ranged", os.O_CREAT | os.O_WRONLY, 0o640), 50_000, 60_000, 10)
    shutil.copyfile("odd", "sent")
    print(os.stat("ranged").st_size, filecmp.cmp("odd", "sent", shallow=False))


def names():
    os.makedirs("a/b/c", exist_ok=True)
    os.renames("a/b/c", "z/y/x")
    print(os.path.exists("a"), os.path.isdir("z/y/x"))
    os.mkfifo("pipe", 0o600)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.bind("socket")
    os.chmod("socket", 0o700)
    print(stat.filemode(os.lstat("pipe").st_mode), stat.filemode(os.lstat("socket").st_mode))
    for i in range(300):
        pathlib.Path("z", f"n{i:03}").touch()
    fd = os.open("z", os.O_RDONLY)
    print(len(os.listdir(fd)), len([e for e in os.scandir("z") if e.is_file(follow_symlinks=False)]))
    os.rename("n001", "n000", src_dir_fd=fd, dst_dir_fd=fd)
    for e in os.scandir("z"):
        if e.is_file():
            os.unlink(e.path)
    print(os.listdir("z"))
    for call in (lambda: os.mkdir("z"), lambda: os.rmdir("z"), lambda: os.open("kept", os.O_CREAT | os.O_EXCL),
                 lambda: os.listdir("kept"), lambda: os.unlink("z"), lambda: os.rename("kept", "z"),
                 lambda: os.rename("z", "z/y/x/w"), lambda: os.mkdir("n" * 256), lambda: open("none/x", "w"),
                 lambda: os.readlink("kept"), lambda: os.truncate("z", 1), lambda: os.symlink("x", "kept")):
        try:
            print("done", call())
        except OSError as e:
            print(e)


def locks():
    with open("locked", "w") as f:
        for take in fcntl.flock, fcntl.lockf:
            take(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            code = (f"import fcntl; fcntl.{take.__name__}(open('locked', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)")
            print(take.__name__, subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode)
            take(f, fcntl.LOCK_UN)
            print(take.__name__, subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode)


for part in temporary, trees, contents, names, locks:
    part()
