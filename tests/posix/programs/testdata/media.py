"""Writes and rearranges files as muxers of MP4 do: a box is a length, a name
and a body; "mdat" holds the samples, "moov" says where they are."""
import os
import struct
import sys

SAMPLE = 3001


def box(name, body):
    return struct.pack(">I4s", 8 + len(body), name) + body


def moov(offsets):
    return box(b"moov", struct.pack(">I", len(offsets)) + b"".join(struct.pack(">Q", o) for o in offsets))


def sample(i):
    return bytes((i * 7 + k) % 251 for k in range(SAMPLE + i % 13))


def boxes(f):
    """Yields the name, place and length of each box."""
    f.seek(0, os.SEEK_END)
    end, at = f.tell(), 0
    while at < end:
        f.seek(at)
        size, name = struct.unpack(">I4s", f.read(8))
        yield name, at, size
        at += size
    assert at == end, f"the boxes end at {at}, the file at {end}"


def find(f, want):
    return next((at, size) for name, at, size in boxes(f) if name == want)


def offsets_of(f):
    at, _ = find(f, b"moov")
    f.seek(at + 8)
    (n,) = struct.unpack(">I", f.read(4))
    return [struct.unpack(">Q", f.read(8))[0] for _ in range(n)]


def write(path, count):
    """Samples first, their length patched into the header at the end."""
    with open(path, "wb") as f:
        f.write(box(b"ftyp", b"isommp42"))
        start = f.tell()
        f.write(struct.pack(">I4s", 0, b"mdat"))
        offsets = []
        for i in range(int(count)):
            offsets.append(f.tell())
            f.write(sample(i))
            if i % 50 == 49:  # a length that is right so far, as recorders do
                end = f.tell()
                f.seek(start)
                f.write(struct.pack(">I", end - start))
                f.seek(end)
        end = f.tell()
        f.write(moov(offsets))
        f.seek(start)
        f.write(struct.pack(">I", end - start))


def check(path):
    with open(path, "rb") as f:
        for i, at in enumerate(offsets_of(f)):
            f.seek(at)
            assert f.read(len(sample(i))) == sample(i), f"sample {i} is wrong"
        print(" ".join(name.decode() for name, _, _ in boxes(f)))


def faststart(source, target):
    """A copy whose moov stands before the samples, renamed into place."""
    with open(source, "rb") as f, open(target + ".part", "wb") as out:
        at, size = find(f, b"moov")
        head, _ = find(f, b"mdat")
        new = moov([o + size for o in offsets_of(f)])
        f.seek(0)
        out.write(f.read(head) + new)
        f.seek(head)
        left = at - head
        while left:
            piece = f.read(min(left, 70001))
            out.write(piece)
            left -= len(piece)
        out.flush()
        os.fsync(out.fileno())
    os.rename(target + ".part", target)


def shift(path):
    """The same in place: one handle reads ahead of the other, which writes."""
    with open(path, "rb", buffering=0) as r, open(path, "r+b", buffering=0) as w:
        end, size = find(r, b"moov")
        start, _ = find(r, b"mdat")
        new = moov([o + size for o in offsets_of(r)])
        r.seek(start)
        w.seek(start)
        held, left = new, end - start
        while left or held:
            piece = r.read(min(left, size)) if left else b""
            left -= len(piece)
            w.write(held)
            held = piece


def tag(path):
    """Appends a box, and patches a byte in the middle of another twice."""
    with open(path, "r+b") as f:
        f.seek(0, os.SEEK_END)
        f.write(box(b"udta", b"tags"))
        at, _ = find(f, b"ftyp")
        for brand in b"mp41", b"mp42":
            f.seek(at + 12)
            f.write(brand)
            f.flush()


{"write": write, "check": check, "faststart": faststart, "shift": shift, "tag": tag}[sys.argv[1]](*sys.argv[2:])
