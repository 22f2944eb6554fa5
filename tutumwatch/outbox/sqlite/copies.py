"""Copies of a damaged file in which more can be read than in the file itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tutumwatch.outbox.sqlite.files import SIDE_FILES, make_file
from tutumwatch.outbox.sqlite.replacing import beside
from tutumwatch.outbox.sqlite.schema import PAGE_BYTES, migrate
from tutumwatch.outbox.store import StoreUnusableError

# The first byte of a page with rows of a table that are numbered.
_LEAF = 0x0D


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file without changing it; text that is none is read all the same."""
    # Without a log beside it SQLite would make one.
    how = "mode=ro" if beside(path, "-wal").exists() else "mode=ro&immutable=1"
    source = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    source.text_factory = lambda text: text.decode("utf-8", "replace")
    return source


@contextmanager
def copy_with_first_page(damaged: Path) -> Iterator[Path | None]:
    """Copy a file, with the first page of a new one: every store has its tables at one place.

    Gives None if there is no room for it.
    """
    copy = beside(damaged, ".copy")
    try:
        is_written = False
        with suppress(OSError, StoreUnusableError):
            _write(damaged, copy)
            is_written = True
        yield copy if is_written else None
    finally:
        for suffix in ("", *SIDE_FILES):
            beside(copy, suffix).unlink(missing_ok=True)


def _write(damaged: Path, copy: Path) -> None:
    for suffix in ("", "-wal"):
        if beside(damaged, suffix).exists():
            make_file(beside(copy, suffix))
            shutil.copyfile(beside(damaged, suffix), beside(copy, suffix))
    made = _made()
    # SQLite asks that the first page of each table is within the file.
    size_bytes = max(copy.stat().st_size, len(made))
    with copy.open("r+b") as file:
        file.write(made[:PAGE_BYTES])
        file.truncate(-(-size_bytes // PAGE_BYTES) * PAGE_BYTES)


def _made() -> bytes:
    """Give a new store without rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        made.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(made)
        content = bytearray(made.serialize())
    # A log may be beside it; how long the file is says the file; no page of it is free.
    content[18:20] = b"\x02\x02"
    content[28:40] = bytes(12)
    return bytes(content)


def read_leaves(copy: Path, table: str, query: str) -> Iterator[Sequence[Any]]:
    """Give the rows of every page that could be one of a table, also if nothing leads to it.

    Each page is read as if it were the whole table. Pages of other tables, and such as are free,
    are among them: what they give must be checked.

    :param copy: a copy; it is of no use any more afterwards.
    """
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # the log becomes part of the file
            root = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
            ).fetchone()[0]
    except sqlite3.Error:
        return
    with copy.open("r+b", buffering=0) as file:
        for number in range(1, copy.stat().st_size // PAGE_BYTES):
            file.seek(number * PAGE_BYTES)
            page = file.read(PAGE_BYTES)
            if page[0] == _LEAF:
                file.seek((root - 1) * PAGE_BYTES)
                file.write(page)
                with closing(connect_to_read(copy)) as source, suppress(sqlite3.Error):
                    yield from source.execute(query)
