"""Builds faults.c, and moves its levers while a watcher runs that was started under it."""

from __future__ import annotations

import functools
import mmap
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
# As `struct page` there: where each number is, and how it is written.
_LEVERS = {
    "write_errno": (0, "=i"),
    "sync_errno": (4, "=i"),
    "sync_ms": (8, "=i"),
    "read_errno": (12, "=i"),
    "clock_seconds": (16, "=q"),
    "syncs_begun": (24, "=q"),
    "syncs_failed": (32, "=q"),
    "writes_failed": (40, "=q"),
}
_PAGE_BYTES = 4096


@functools.cache
def _built() -> tuple[tempfile.TemporaryDirectory[str], str]:
    """Build it once for all tests of this process; the folder goes with the process."""
    assert COMPILER is not None
    folder = tempfile.TemporaryDirectory(prefix="tutumwatch-faults-")
    library = str(Path(folder.name, "faults.so"))
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(
        [COMPILER, *warnings, "-O1", "-shared", "-fPIC", "-o", library, str(SOURCE), "-ldl"],
        check=True,
    )
    return folder, library


class Shim:
    """The levers of one watcher.

    :param folder: the files below it are concerned; an existing one.
    :param page: a file that is made, outside of ``folder``.
    """

    def __init__(self, folder: Path, page: Path) -> None:
        page.write_bytes(bytes(_PAGE_BYTES))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _PAGE_BYTES)
        self.variables: Mapping[str, str] = {
            "LD_PRELOAD": _built()[1],
            "FAULTS_PAGE": str(page),
            "FAULTS_FOLDER": str(folder.resolve()),
        }

    def set(self, **levers: int) -> None:
        """Move levers: write_errno, sync_errno, sync_ms, read_errno, clock_seconds."""
        for name, value in levers.items():
            at, form = _LEVERS[name]
            struct.pack_into(form, self._page, at, value)

    def get(self, name: str) -> int:
        """Read a lever, or one of the counters: syncs_begun, syncs_failed, writes_failed."""
        at, form = _LEVERS[name]
        (value,) = struct.unpack_from(form, self._page, at)
        return int(value)

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()
