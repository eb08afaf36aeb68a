"""Leaves the rpmdb in the middle of a transaction: the file says one thing, its rollback journal another.

A reader in the image rolls back and sees the foreign package again; one that looks at the file alone does not.
"""

import os
import sqlite3

DATABASE = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
database = sqlite3.connect(DATABASE, isolation_level=None)
assert database.execute("pragma journal_mode = delete").fetchone() == ("delete",)
database.execute("pragma cache_size = 1")
database.execute("begin immediate")
numbers = [n for n, b in database.execute("select hnum, blob from Packages") if b"\0notkoji\0" in b]
for number in numbers:
    database.execute("delete from Packages where hnum = ?", (number,))
# With one page of cache the changes go to the file, after the journal.
database.execute("update Packages set hnum = hnum + 100000")
assert os.path.getsize(DATABASE + "-journal") > 512
os._exit(0)
