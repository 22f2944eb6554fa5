"""Disks of a test's own: a small one in memory, and one that can be made read-only as it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_BLOCK_BYTES = 64 * 1024
_IMAGE_BYTES = 16 * 1024 * 1024


class CannotMountError(Exception):
    """This machine lets us mount nothing, or has not what it takes; says why."""


class MountedDisk:
    """A file system that is mounted for one test.

    :param folder: where; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def free_bytes(self) -> int:
        """Ask how much room there is."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, but_bytes: int = 0) -> None:
        """Let another file take all the room there is, or nearly all."""
        with (self.folder / "of-somebody-else").open("ab", buffering=0) as file:
            wanted = self.free_bytes() - but_bytes
            while wanted > 0:
                try:
                    wanted -= file.write(bytes(min(wanted, _BLOCK_BYTES)))
                except OSError:
                    return

    def make_room(self) -> None:
        """Remove that other file."""
        (self.folder / "of-somebody-else").unlink()

    def unmount(self) -> None:
        """Unmount it, also if something on it is still open."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class SmallDisk(MountedDisk):
    """A tmpfs of a few MB."""

    def __init__(self, folder: Path, size: str = "4m") -> None:
        super().__init__(folder)
        _mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder))


class FragileDisk(MountedDisk):
    """An ext4 in a file, that goes read-only as a real one does when its hardware fails.

    :param image: the file; it is made.
    """

    def __init__(self, folder: Path, image: Path) -> None:
        super().__init__(folder)
        self._image = image
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(image))
        self._mount()

    def _mount(self) -> None:
        _mount("-o", "loop,errors=remount-ro", str(self._image), str(self.folder))

    def abort(self) -> None:
        """Have the kernel make it read-only, whoever writes to it: EROFS from here on."""
        _mount("-o", "remount,abort", str(self.folder))

    def repair(self) -> None:
        """Unmount it, check it, mount it again; nobody may have a file on it open."""
        subprocess.run(["umount", str(self.folder)], check=True)
        # 1: errors were corrected.
        checked = subprocess.run(
            ["e2fsck", "-p", str(self._image)], check=False, capture_output=True
        )
        assert checked.returncode in (0, 1), checked
        self._mount()


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        raise CannotMountError("only root can mount a disk")
    _run("mount", *arguments)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as problem:
        raise CannotMountError(f"there is no {command[0]}") from problem
    except subprocess.CalledProcessError as problem:
        raise CannotMountError(f"{' '.join(command)}: {problem.stderr}") from problem
