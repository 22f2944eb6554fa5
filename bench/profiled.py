"""Runs twistd with its two busy threads each under a profiler, and writes what those saw.

``python -m bench.profiled FILE -n --pidfile= tutumwatch -c bench.toml``. The reactor's thread is
measured in its own CPU time; the store's in time that passes, so that the disk shows.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import threading
import time
from pathlib import Path

SHOWN_COUNT = 15
STORE_THREAD = "PoolThread-store"


class Profiles:
    """The profiles of the reactor's thread and of the store's, which joins when it begins."""

    def __init__(self) -> None:
        self._reactor = cProfile.Profile(time.thread_time)
        self._others: list[tuple[str, cProfile.Profile]] = []

    def watch_threads(self) -> None:
        """Put the store's thread under a profiler as soon as it begins."""
        threading.setprofile(self._thread_began)

    def begin(self) -> None:
        """Begin with the thread that calls this: the reactor runs now."""
        self._reactor.enable()

    def _thread_began(self, *_event: object) -> None:
        """Put a profiler in the place of this function, which Python calls once in each thread."""
        name = threading.current_thread().name
        if not name.startswith(STORE_THREAD):
            sys.setprofile(None)
            return
        profile = cProfile.Profile(time.perf_counter)
        try:
            profile.enable()
        except ValueError:
            # From Python 3.12 on there is only one for the process: the reactor's sees all.
            sys.setprofile(None)
            return
        self._others.append((name, profile))

    def write(self, path: Path) -> None:
        """Write what was seen: for each thread the functions that took most, by their own time."""
        self._reactor.disable()
        parts = [_told("the reactor's thread, CPU time", self._reactor)]
        parts += [_told(f"thread {name}, time that passed", one) for name, one in self._others]
        path.write_text("\n".join(parts), "utf-8")


def _told(title: str, profile: cProfile.Profile) -> str:
    lines = io.StringIO()
    try:
        statistics = pstats.Stats(profile, stream=lines)
    except TypeError:  # it saw nothing
        return f"{title}: nothing\n"
    statistics.strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(SHOWN_COUNT)
    return f"== {title}\n{lines.getvalue()}"


def main() -> None:
    """Run twistd with the arguments that follow the file's name."""
    from twisted.internet import reactor  # noqa: PLC0415 - it is chosen by whoever imports it first
    from twisted.scripts.twistd import run  # noqa: PLC0415 - the same

    path, *arguments = sys.argv[1:]
    sys.argv = ["twistd", *arguments]
    profiles = Profiles()
    # Not after run(): twistd ends by the signal that it was sent.
    reactor.addSystemEventTrigger("after", "shutdown", profiles.write, Path(path))
    reactor.callWhenRunning(profiles.begin)
    profiles.watch_threads()
    run()


if __name__ == "__main__":
    main()
