"""Takes a package out of the rpmdb in its write-ahead log alone, and leaves the log: `python3 live_wal.py NAME`."""

import os
import sqlite3
import sys

DATABASE = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
database = sqlite3.connect(DATABASE, isolation_level=None)
assert database.execute("pragma journal_mode = wal").fetchone() == ("wal",)
database.execute("pragma wal_autocheckpoint = 0")
database.execute("delete from Packages where hnum in (select hnum from Name where key = ?)", (sys.argv[1],))
assert os.path.getsize(DATABASE + "-wal") > 32
os._exit(0)
