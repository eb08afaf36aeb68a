"""The SQLite database: one connection, one transaction at a time, rows as dictionaries.

A call of the hub is one transaction (dispatch.py); background work opens short ones of its own. Everything else reaches the
database through `db()`, the one of the running transaction.
"""

import json
import re
import sqlite3
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import resources

from koji.context import context

SCHEMA_VERSION = 2


def time_text(seconds):
    """Koji's text form of a time: `2026-01-31 12:00:00.123456+00:00`."""
    moment = datetime.fromtimestamp(float(seconds), timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f+00:00")


sqlite3.register_converter("BOOLEAN", lambda raw: raw != b"0")
sqlite3.register_converter("JSON", lambda raw: json.loads(raw))
sqlite3.register_converter("EPOCH", lambda raw: time_text(raw))
sqlite3.register_adapter(dict, json.dumps)


class Database:
    """The file and its connection. Not a pool: SQLite has one writer, and a call takes milliseconds."""

    def __init__(self, path):
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, detect_types=sqlite3.PARSE_DECLTYPES
        )
        self._connection.row_factory = lambda cursor, row: dict(zip((c[0] for c in cursor.description), row))
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        found = self._connection.execute("PRAGMA user_version").fetchone()["user_version"]
        if found == 0:
            schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
            self._connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif found != SCHEMA_VERSION:
            raise RuntimeError(f"{path} was made by another version of the development hub; remove it to start anew")

    @contextmanager
    def transaction(self):
        """One transaction of this thread, committed at the end, rolled back by an exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            previous, context.db = getattr(context, "db", None), self
            try:
                yield self
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                context.db = previous

    @contextmanager
    def savepoint(self):
        """Part of a transaction that is undone alone when it raises (multiCall)."""
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO part")
            raise
        finally:
            self._connection.execute("RELEASE part")

    def commit(self):
        """Keep what was done so far, whatever becomes of the rest of the call (session bookkeeping)."""
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")

    def changes(self):
        """How many rows were written since the start; tells whether a call wrote anything."""
        return self._connection.total_changes

    def close(self):
        with self._lock:
            self._connection.close()

    def all(self, sql, **values):
        """All rows. A list for `IN :name` becomes a list of values, a list of tuples a list of row values."""
        sql, values = _expand_lists(sql, values)
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql, **values):
        """The first row or None."""
        rows = self.all(sql, **values)
        return rows[0] if rows else None

    def value(self, sql, **values):
        """The first column of the first row or None."""
        row = self.one(sql, **values)
        return next(iter(row.values())) if row else None

    def run(self, sql, **values):
        """Executes a statement; the number of rows it touched."""
        sql, values = _expand_lists(sql, values)
        return self._connection.execute(sql, values).rowcount

    def insert(self, table, **row):
        """Inserts one row; its id."""
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        return self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row).lastrowid

    def update(self, table, row_id, **changes):
        """Changes the row with this id."""
        sets = ", ".join(f"{name} = :{name}" for name in changes)
        self._connection.execute(f"UPDATE {table} SET {sets} WHERE id = :row_id", {**changes, "row_id": row_id})


def db():
    """The database, inside a transaction."""
    return context.db


def _expand_lists(sql, values):
    flat = {}
    for name, value in values.items():
        if not isinstance(value, (list, tuple, set)):
            flat[name] = value
            continue
        rows = []
        for n, item in enumerate(value):
            if isinstance(item, (list, tuple)):
                flat.update({f"{name}_{n}_{m}": part for m, part in enumerate(item)})
                rows.append("(" + ", ".join(f":{name}_{n}_{m}" for m in range(len(item))) + ")")
            else:
                flat[f"{name}_{n}"] = item
                rows.append(f":{name}_{n}")
        in_list = "(VALUES " + ", ".join(rows) + ")" if rows and rows[0].startswith("(") else "(" + ", ".join(rows) + ")"
        sql = re.sub(rf":{name}\b", lambda _, text=in_list: text, sql)
    return sql, flat
