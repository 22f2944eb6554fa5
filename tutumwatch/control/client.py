"""Asks a running watcher, from a process of its own: plain blocking calls, each with a deadline."""

from __future__ import annotations

import socket
import time

from tutumwatch.control.wire import Question, Reply, decode_reply, encode_line, is_too_long

# Longer than the watcher takes to say that something is not done yet.
ASK_DEADLINE_SECONDS = 45.0
REPLY_MAX_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class NobodyAnswersError(Exception):
    """There is no answer; says why."""


class NotRunningError(NobodyAnswersError):
    """No watcher listens."""


def ask(path: str, question: Question, deadline_seconds: float = ASK_DEADLINE_SECONDS) -> Reply:
    """Ask the watcher whose control socket has a path.

    :raises NobodyAnswersError: if no answer comes.
    """
    if is_too_long(path):
        raise NobodyAnswersError(
            f"the watcher has no control socket, because {path} would be too long a path for one; "
            "give the store a shorter path"
        )
    end = time.monotonic() + deadline_seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(deadline_seconds)
            connection.connect(path)
            connection.sendall(encode_line(question) + b"\n")
            line = _read_line(connection, end)
    except (FileNotFoundError, ConnectionRefusedError) as problem:
        raise NotRunningError(f"no watcher listens at {path}") from problem
    except TimeoutError as problem:
        raise NobodyAnswersError(
            f"the watcher did not answer within {deadline_seconds:g} s"
        ) from problem
    except OSError as problem:
        raise NobodyAnswersError(f"{path}: {problem.strerror or problem}") from problem
    try:
        return decode_reply(line)
    except ValueError as problem:
        raise NobodyAnswersError(f"what listens at {path} is no watcher: {problem}") from problem


def _read_line(connection: socket.socket, end: float) -> bytes:
    """Read up to the end of a line.

    :raises NobodyAnswersError: if the connection ends before that.
    """
    received = bytearray()
    while not received.endswith(b"\n"):
        connection.settimeout(max(0.001, end - time.monotonic()))
        chunk = connection.recv(_CHUNK_BYTES)
        received += chunk
        if not chunk or len(received) > REPLY_MAX_BYTES:
            raise NobodyAnswersError("the watcher ended before it answered")
    return bytes(received)
