"""Puts a damaged file aside; a kill in between is noticed, and it is then done to its end.

While a replacement is under way a note beside the file says where the damaged one goes. The new
file is of use only when the note is gone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tutumwatch.outbox.sqlite.files import FILE_MODE, SIDE_FILES, free_name


def beside(path: Path, suffix: str) -> Path:
    """Give the file whose name has something at the end."""
    return path.with_name(path.name + suffix)


def _note(path: Path) -> Path:
    return beside(path, ".replacing")


def move_aside(path: Path, at: float) -> Path:
    """Give a damaged file another name, with all that SQLite keeps beside it."""
    aside = free_name(path, "damaged", at)
    descriptor = os.open(_note(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    try:
        os.write(descriptor, f"{aside.name}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync_folder(path)
    path.rename(aside)
    _move_side_files(path, aside)
    return aside


def moved_aside(path: Path) -> Path | None:
    """Give where the damaged file is, if what was to be saved of it may not have been saved yet."""
    note = _note(path)
    try:
        text = note.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    name = text.removesuffix("\n")
    aside = path.with_name(name) if name.startswith(f"{path.name}.damaged-") else path
    if name == text or aside == path or not aside.exists():
        note.unlink()  # we were killed before anything was moved
        return None
    if path.exists():
        # All was moved, and this is the new one, half done; the last of its files goes last.
        for suffix in (*SIDE_FILES, ""):
            beside(path, suffix).unlink(missing_ok=True)
    else:
        _move_side_files(path, aside)
    return aside


def end_replacement(path: Path) -> None:
    """Note that the new file holds all that could be saved."""
    _note(path).unlink()
    _sync_folder(path)


def _move_side_files(path: Path, aside: Path) -> None:
    for suffix in SIDE_FILES:
        with suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
