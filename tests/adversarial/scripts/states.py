"""Sets the state of every file of an installed package: `python3 states.py NAME STATE`. No digest covers it."""

import sqlite3
import struct
import sys

DATABASE = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
FILESTATES = 1029
name, state = sys.argv[1].encode(), int(sys.argv[2])
database = sqlite3.connect(DATABASE)
for number, blob in database.execute("select hnum, blob from Packages").fetchall():
    if b"\0" + name + b"\0" not in blob:
        continue
    count, _ = struct.unpack_from(">II", blob)
    data, changed = 8 + 16 * count, bytearray(blob)
    for at in range(count):
        tag, _, offset, values = struct.unpack_from(">IIiI", blob, 8 + 16 * at)
        if tag == FILESTATES:
            changed[data + offset : data + offset + values] = bytes([state]) * values
            database.execute("update Packages set blob = ? where hnum = ?", (bytes(changed), number))
database.commit()
