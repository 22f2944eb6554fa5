"""The one check that no credential shows in any output.

A credential is looked for as it is and in every disguise that software gives it by accident:
base64 (alone or inside ``user:key``, at any alignment), percent-encoded, as ``repr`` and JSON
write it. :class:`RecordedLog` keeps what a run logs, all levels, in all the forms in which we and
Twisted write it; :func:`read_stores` gives what a store keeps, in all the forms in which it may be
read.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

from twisted.logger import (
    ILogObserver,
    LogEvent,
    formatEventAsClassicLogText,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tutumwatch.logs import JSONObserver, TextObserver

CONTEXT_CHARS = 60
SQLITE_BEGINS = b"SQLite format 3\0"
# What stands before compressed content in a store.
CHECKSUM_BYTES = 4


def disguises_of(secret: str) -> Iterator[tuple[str, str]]:
    """Give each form that a credential may be found in: its name, and how it then looks."""
    yield "percent-encoded", quote(secret, safe="")
    yield "percent-encoded in lower case", quote(secret, safe="").lower()
    yield "percent-encoded path", quote(secret)
    yield "form-encoded", quote_plus(secret)
    yield "repr", repr(secret)[1:-1]
    yield "repr of bytes", repr(secret.encode())[2:-1]
    yield "JSON", json.dumps(secret)[1:-1]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # What stands around it decides the outer characters; these in the middle are its own.
            coded = encode(b"\0" * before + secret.encode()).decode().rstrip("=")
            first = (before * 8 + 5) // 6
            last = (before + len(secret.encode())) * 8 // 6
            yield f"base64 after {before} bytes", coded[first:last]
    yield "plain", secret


def parts_of(url: str) -> tuple[str, ...]:
    """Give what must not show of a URL that is a credential: all, its path, the path's last part."""
    path = urlsplit(url).path
    return (url, path, path.rpartition("/")[2])


def find_leaks(output: str, secrets: Iterable[str]) -> list[str]:
    """Give a complaint for each form of each credential that an output holds."""
    leaks = []
    for secret in secrets:
        forms = {look: form for form, look in disguises_of(secret)}
        for look, form in forms.items():
            at = output.find(look)
            if at >= 0:
                around = output[max(0, at - CONTEXT_CHARS) : at + len(look) + CONTEXT_CHARS]
                leaks.append(f"{secret!r} is there, {form}: ...{around}...")
    return leaks


def read_stores(folder: Path) -> Iterator[str]:
    """Give all that stores below a folder hold: each of their files as it is, and each value.

    Their files are the store, what SQLite keeps beside it, the lock, copies, and what was damaged.
    """
    for path in sorted(folder.rglob("*.sqlite*")):
        if path.is_file():
            content = path.read_bytes()
            yield _text_of(content.strip(b"\0"))
            if content.startswith(SQLITE_BEGINS):
                yield from _values_in(path)


def _values_in(path: Path) -> Iterator[str]:
    """Give each value of a file of SQLite; what is compressed is unpacked."""
    with tempfile.TemporaryDirectory() as copies:
        # A copy, because reading may change what SQLite keeps beside a file.
        for part in path.parent.glob(f"{path.name}*"):
            if part.is_file():
                shutil.copy(part, copies)
        # Where it is damaged, what it is as bytes was read all the same.
        with suppress(sqlite3.Error), closing(sqlite3.connect(Path(copies, path.name))) as store:
            store.text_factory = bytes
            tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for row in store.execute(f'SELECT * FROM "{table.decode()}"'):  # noqa: S608 - the name is the file's own
                    for value in row:
                        yield from _readings_of(value)


def _readings_of(value: object) -> Iterator[str]:
    if isinstance(value, bytes):
        yield _text_of(value)
        with suppress(zlib.error):
            yield _text_of(zlib.decompress(value[CHECKSUM_BYTES:]))


def _text_of(content: bytes) -> str:
    return content.decode("utf-8", "replace")


@implementer(ILogObserver)
class RecordedLog:
    """Everything that is logged, at every level, from now to :meth:`stop`."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._written = io.StringIO()
        self._observers = (TextObserver(self._written), JSONObserver(self._written))
        globalLogPublisher.addObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Keep an event, in every form in which it could be written."""
        self.events.append(event)
        for observer in self._observers:
            observer(event)
        self._written.write(formatEventAsClassicLogText(event) or "")
        # What another observer might write: the values, and the object that spoke.
        self._written.write(f"{event!r}\n")

    def stop(self) -> None:
        """Record no more."""
        globalLogPublisher.removeObserver(self)

    @property
    def output(self) -> str:
        """All of it as one text."""
        return self._written.getvalue()

    def lines(self, namespace: str) -> list[str]:
        """Give the ``text`` of each event of one namespace, in order."""
        return [str(e["text"]) for e in self.events if e["log_namespace"].startswith(namespace)]


class SecretsCheckedTestCase(SynchronousTestCase):
    """Mixed into a TestCase: at its very end, no output of the test may hold a credential.

    :meth:`record` comes first in ``setUp``, since the cleanups run backwards; further output goes
    into ``outputs``.
    """

    secrets: list[str]
    outputs: list[str]
    log: RecordedLog

    def record(self, *secrets: str) -> None:
        """Begin to record the log; it is checked when everything else has been cleaned up."""
        self.secrets, self.outputs = list(secrets), []
        self.log = RecordedLog()
        self.addCleanup(self.check_secrets)

    def check_secrets(self) -> None:
        """Fail if anything that was written holds a credential."""
        self.log.stop()
        leaks = find_leaks("\n".join([self.log.output, *self.outputs]), self.secrets)
        self.assertEqual(leaks, [], "\n".join(leaks))
