"""The tables, and how an older file becomes a newer one.

``MIGRATIONS[n]`` takes a file from version n to n + 1; a new file runs them all. One that has been
in a release is never changed again. ``deliveries.head`` marks the first live row of each lane;
``form``, ``rule`` and ``at`` repeat what the notice says, to find it without reading it.
``journal.total`` is how many bytes of pages were ever written, this one included.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

# Tells a file of ours from any other ("ttw1").
APPLICATION_ID = 0x74747731
PAGE_BYTES = 4096

MIGRATIONS = (
    """
    CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE journal(
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        inputs INTEGER NOT NULL,
        total INTEGER NOT NULL,
        last_number INTEGER NOT NULL,
        page BLOB NOT NULL);
    CREATE TABLE deliveries(
        id INTEGER PRIMARY KEY,
        notifier TEXT NOT NULL,
        key TEXT NOT NULL,
        state INTEGER NOT NULL,
        head INTEGER NOT NULL,
        form TEXT NOT NULL,
        rule TEXT NOT NULL,
        at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        maybe_sent INTEGER NOT NULL DEFAULT 0,
        waits_for TEXT,
        reason TEXT NOT NULL DEFAULT '',
        notice BLOB);
    CREATE INDEX lanes ON deliveries(notifier, key, id) WHERE state < 3;
    CREATE INDEX heads ON deliveries(notifier, id) WHERE head = 1;
    CREATE INDEX dead ON deliveries(id) WHERE state = 3;
    CREATE INDEX waits ON deliveries(waits_for) WHERE state = 0;
    CREATE TABLE waiting(id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE records(
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY(kind, name)) WITHOUT ROWID;
    CREATE TABLE memory(
        notifier TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY(notifier, key)) WITHOUT ROWID;
    CREATE TABLE resources(
        stream TEXT NOT NULL,
        type TEXT NOT NULL,
        uuid TEXT NOT NULL,
        resource BLOB NOT NULL,
        PRIMARY KEY(stream, type, uuid)) WITHOUT ROWID;
    """,
    # For how long a notice has failed while its destination was up counts on over a restart, and
    # what was one request goes again as one.
    """
    ALTER TABLE deliveries ADD COLUMN up_seconds REAL NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
    """,
)
VERSION = len(MIGRATIONS)
# What a salvage saves of a damaged file, the most important first; what waits is asked for by rows.
TABLES = ("waiting", "deliveries", "records", "meta", "memory", "resources", "journal")


# What a value of a column may be, as SQLite calls it, by what the column declares.
_TYPES = {"INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}
_ANY_NUMBER = "'integer', 'real'"
_COLUMNS = (
    'SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_master t,'
    " pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid"
)
_INDEXES = (
    "SELECT i.tbl_name, i.name, c.name FROM sqlite_master i, pragma_index_info(i.name) c"
    " WHERE i.type = 'index' ORDER BY i.name, c.seqno"
)


def version_of(connection: sqlite3.Connection) -> int:
    """Give the version of a file; 0 for one without tables."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, upto: int = VERSION) -> None:
    """Bring a file to a version, step by step; each step is done wholly or not at all."""
    for number in range(version_of(connection), upto):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number].split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Give the names of the tables in a file."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}


def is_as_made(connection: sqlite3.Connection) -> bool:
    """Say whether tables and indexes are those of the version that the file says it has."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        migrate(made, version_of(connection))
        return all(
            connection.execute(query).fetchall() == made.execute(query).fetchall()
            for query in (_COLUMNS, _INDEXES)
        )


def table_with_wrong_types(connection: sqlite3.Connection) -> str | None:
    """Give a table with a value that its column cannot have: SQLite itself takes any."""
    conditions: dict[str, list[str]] = {}
    for table, column, declared, not_null, is_key in connection.execute(_COLUMNS):
        types = f"'{_TYPES[declared]}'" if declared else _ANY_NUMBER
        null = "" if not_null or is_key else ", 'null'"
        conditions.setdefault(table, []).append(f"typeof({column}) NOT IN ({types}{null})")
    for table, wrong in conditions.items():
        query = f"SELECT EXISTS(SELECT 1 FROM {table} WHERE {' OR '.join(wrong)})"
        if connection.execute(query).fetchone()[0]:
            return table
    return None
