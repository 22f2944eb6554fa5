"""What the bench ran on: machine, system, libraries, and how long a commit to the disk takes."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "twisted",
    "autobahn",
    "treq",
    "msgspec",
    "websocket-client",
    "requests",
    "websockets",
    "aiohttp",
)
COMMITS_COUNT = 200


def describe(folder: Path) -> list[str]:
    """Say all that, a sentence each; the stores are made below the folder."""
    model = _value("/proc/cpuinfo", "model name") or platform.processor() or "an unnamed CPU"
    memory_gib = int((_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        (
            f"{os.cpu_count()} cores of {model}, {memory_gib:.0f} GiB, {platform.system()} "
            f"{platform.release()}, load {os.getloadavg()[0]:.1f} when it began"
        ),
        (
            f"{platform.python_implementation()} {platform.python_version()}, SQLite "
            f"{sqlite3.sqlite_version}, {versions}"
        ),
        (
            f"stores on {_file_system(folder)}; a commit with synchronous FULL takes "
            f"{_commit_ms(folder):.2f} ms there"
        ),
    ]


def _value(path: str, name: str) -> str:
    lines = (line.partition(":") for line in Path(path).read_text("utf-8").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _file_system(folder: Path) -> str:
    """Give the type of the file system that a folder is on, from the longest mount point."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines())
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    fitting = [(len(mount[1]), mount[2]) for mount in mounts if mount[1] in above]
    return max(fitting)[1]


def _commit_ms(folder: Path) -> float:
    path = folder / "commits.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows(row)")
        begun = time.perf_counter()
        for number in range(COMMITS_COUNT):
            connection.execute("INSERT INTO rows VALUES (?)", (number,))
        return (time.perf_counter() - begun) / COMMITS_COUNT * 1_000
