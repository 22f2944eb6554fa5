"""Runs one fake as a program of its own: its URL on the first line, then what it receives."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import react

from tests.fakes.scripted import ScriptedServer

Fake = TypeVar("Fake", bound=ScriptedServer)


def run(
    arguments: Sequence[str],
    program: str,
    fake_class: type[Fake],
    url_of: Callable[[Fake], str],
    started: Callable[[Fake, IReactorTime], object] | None = None,
) -> None:
    """Serve until a signal ends the process; ``started`` may give the fake something to do."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=fake_class.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: a free one)")
    port: int = parser.parse_args(list(arguments)).port

    async def serve(reactor: IReactorTCP) -> None:
        fake = await fake_class.listen(reactor, port)
        _print_line(url_of(fake))
        fake.echo = _print_line
        if started is not None:
            started(fake, IReactorTime(reactor))
        await Deferred[None]()

    react(lambda reactor: Deferred.fromCoroutine(serve(reactor)))


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
