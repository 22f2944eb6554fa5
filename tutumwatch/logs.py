"""How the log is written: lines for people, or JSON for machines; no chatter of libraries."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from zope.interface import implementer

# Their own lines say again, less clearly, what ours say.
_QUIET_NAMESPACES = ("autobahn", "txaio", "twisted.web.http", "twisted.internet.tcp")
_OWN_KEYS = ("stream", "notifier", "reason", "rule", "state", "resource_uri")


def _without_chatter(observer: ILogObserver) -> ILogObserver:
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    for namespace in _QUIET_NAMESPACES:
        predicate.setLogLevelForNamespace(namespace, LogLevel.critical)
    filtered: ILogObserver = FilteringLogObserver(observer, [predicate])
    return filtered


@implementer(ILogObserver)
class TextObserver:
    """Writes a line an event: time in UTC, a mark for warnings and errors, the text."""

    def __init__(self, to: TextIO) -> None:
        """Write to a file."""
        self._to = to

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        time = datetime.fromtimestamp(event["log_time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        level = event.get("log_level", LogLevel.info)
        mark = "" if level is LogLevel.info else f"{level.name}: "
        self._to.write(f"{time} {mark}{formatEvent(event)}\n{_traceback(event)}")
        self._to.flush()


@implementer(ILogObserver)
class JSONObserver:
    """Writes a JSON object a line: ``{"ts", "level", "ns", "msg"}`` and what the event is about."""

    def __init__(self, to: TextIO) -> None:
        """Write to a file."""
        self._to = to

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
            "level": event.get("log_level", LogLevel.info).name,
            "ns": event.get("log_namespace", ""),
            "msg": formatEvent(event),
        }
        line |= {key: str(event[key]) for key in _OWN_KEYS if key in event}
        traceback = _traceback(event)
        if traceback:
            line["traceback"] = traceback
        self._to.write(msgspec.json.encode(line).decode() + "\n")
        self._to.flush()


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return "" if failure is None else str(failure.getTraceback())


def text_observer() -> ILogObserver:
    """Log lines to stdout: ``twistd --logger=tutumwatch.logs.text_observer``."""
    return _without_chatter(TextObserver(_stdout()))


def json_observer() -> ILogObserver:
    """Log JSON to stdout: ``twistd --logger=tutumwatch.logs.json_observer``."""
    return _without_chatter(JSONObserver(_stdout()))


def _stdout() -> TextIO:
    """Give stdout, made to write every text, whatever encoding the locale asks for."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout
