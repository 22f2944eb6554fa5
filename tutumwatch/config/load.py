"""Loads a configuration whole: a file, or the built-in one that follows the environment alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import attrs

from tutumwatch.config.environment import Environment, UnsetError
from tutumwatch.config.mistakes import ConfigurationError, Mistakes, Place, scan_lines
from tutumwatch.config.status import StatusSettings
from tutumwatch.config.tables import read_table
from tutumwatch.http import load_trust_root
from tutumwatch.notifiers.contract import Notifier, NotifierKind, NotifierSettings, Pace, Sender
from tutumwatch.notifiers.kinds import KINDS
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.rules.incidents import IncidentRule, IncidentSettings, compile_incident
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.settings import Settings
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import StreamSettings
from tutumwatch.stream.urls import require_stream_url

TABLES = ("streams", "status", "notifiers", "messages", "incidents")
BUILT_IN = "tutorial.toml"

S = TypeVar("S", bound=Settings)


@attrs.frozen
class StreamPlan:
    """A stream that is to be watched: everything that was left out is filled in."""

    name: str
    url: str
    rest: str
    credentials: Credentials
    settings: StreamSettings


@attrs.frozen
class NotifierPlan:
    """A notifier that is on."""

    name: str
    kind: NotifierKind
    notifier: Notifier | Sender
    pace: Pace
    ca_file: str | None


@attrs.frozen
class Configuration:
    """A whole configuration without mistakes.

    ``off``: the optional notifiers that are off, with the variable that is not set.
    """

    source: str
    streams: tuple[StreamPlan, ...]
    notifiers: tuple[NotifierPlan, ...]
    off: Mapping[str, str]
    messages: tuple[MessageRule, ...]
    incidents: tuple[IncidentRule, ...]
    status: StatusSettings


def load_configuration(path: str | None, environment: Environment) -> Configuration:
    """Load a file, or without one the built-in configuration.

    :raises ConfigurationError: with every mistake that is in it.
    """
    if path is None:
        text = resources.files("tutumwatch.config").joinpath(BUILT_IN).read_text("utf-8")
        return _Loader.of(text, "the environment", environment).load()
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        mistakes = Mistakes()
        mistakes.add((), f"cannot be read: {reason}")
        raise ConfigurationError(path, mistakes.found) from problem
    return _Loader.of(text, path, environment).load()


@attrs.define
class _Loader:
    """One reading of one text."""

    _source: str
    _raw: Mapping[str, Any]
    _environment: Environment
    _mistakes: Mistakes
    _known_notifiers: tuple[str, ...] = ()
    _off: dict[str, str] = attrs.field(factory=dict)
    _rule_names: set[str] = attrs.field(factory=set)

    @classmethod
    def of(cls, text: str, source: str, environment: Environment) -> _Loader:
        mistakes = Mistakes(scan_lines(text) if source != "the environment" else {})
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            mistakes.add((), f"no TOML: {problem}")
            raise ConfigurationError(source, mistakes.found) from problem
        return cls(source, raw, environment, mistakes)

    def load(self) -> Configuration:
        for key in self._raw:
            if key not in TABLES:
                self._mistakes.add((key,), f"there is no such table{suggestion(key, TABLES)}")
        streams = self._streams()
        notifiers = self._notifiers()
        destinations = {
            plan.name: Destination(plan.name, plan.kind.escape, plan.kind.drops_orphans)
            for plan in notifiers
        }
        messages = self._messages(destinations)
        incidents = self._incidents(destinations)
        status = self._read(StatusSettings, self._raw.get("status", {}), ("status",))
        if self._mistakes.found:
            raise ConfigurationError(self._source, self._mistakes.found)
        return Configuration(
            source=self._source,
            streams=tuple(streams),
            notifiers=tuple(notifiers),
            off=self._off,
            messages=tuple(messages),
            incidents=tuple(incidents),
            status=status or StatusSettings(),
        )

    def _read(self, kind: type[S], raw: object, place: Place) -> S | None:
        return read_table(kind, raw, place, self._mistakes, self._environment)

    def _table(self, name: str) -> Mapping[str, Any]:
        raw = self._raw.get(name, {})
        if not isinstance(raw, Mapping):
            self._mistakes.add((name,), f"expected tables such as [{name}.main]")
            return {}
        return raw

    def _array(self, name: str) -> list[Any]:
        raw = self._raw.get(name, [])
        if not isinstance(raw, list):
            self._mistakes.add((name,), f"expected tables such as [[{name}]]")
            return []
        return raw

    def _streams(self) -> list[StreamPlan]:
        table = self._table("streams")
        if not table:
            self._mistakes.add((), "no stream is named; add a [streams.main] table")
        plans = (self._stream(name, raw) for name, raw in table.items())
        return [plan for plan in plans if plan is not None]

    def _stream(self, name: str, raw: object) -> StreamPlan | None:
        place = ("streams", name)
        settings = self._read(StreamSettings, raw, place)
        if settings is None:
            return None
        try:
            url = settings.url or self._environment.stream_url()
            require_stream_url("url", url)
            rest = settings.rest or self._environment.rest_url()
            require_http_url("rest", rest)
            credentials = self._credentials(settings)
            if settings.ca_file is not None:
                load_trust_root(settings.ca_file)
        except ValueError as problem:
            self._mistakes.add(place, str(problem))
            return None
        return StreamPlan(name, url, rest, credentials, settings)

    def _credentials(self, settings: StreamSettings) -> Credentials:
        if settings.auth is not None:
            if settings.user is not None or settings.apikey is not None:
                message = "auth and user or apikey are both set; keep one"
                raise ValueError(message)
            return Credentials.from_header(settings.auth.reveal())
        if settings.user is None and settings.apikey is None:
            return self._environment.credentials()
        if settings.user is None or settings.apikey is None:
            message = "user and apikey go together; one of them is missing"
            raise ValueError(message)
        return Credentials.from_pair(settings.user, settings.apikey.reveal())

    def _notifiers(self) -> list[NotifierPlan]:
        table = self._table("notifiers")
        self._known_notifiers = tuple(table)
        plans = (self._notifier(name, raw) for name, raw in table.items())
        return [plan for plan in plans if plan is not None]

    def _notifier(self, name: str, raw: object) -> NotifierPlan | None:
        place = ("notifiers", name)
        kind_name = raw.get("kind") if isinstance(raw, Mapping) else None
        kind = KINDS.get(str(kind_name))
        if kind is None:
            known = f"; known are {', '.join(KINDS)}"
            what = f"{kind_name!r} is no kind of notifier{suggestion(str(kind_name), KINDS)}{known}"
            self._mistakes.add((*place, "kind"), what)
            return None
        try:
            settings = self._read(kind.settings, raw, place)
        except UnsetError as unset:
            self._off[name] = f"{unset.args[0]} is not set"
            return None
        return None if settings is None else self._notifier_plan(name, kind, settings)

    def _notifier_plan(
        self, name: str, kind: NotifierKind, settings: NotifierSettings
    ) -> NotifierPlan | None:
        try:
            notifier = kind.make(settings)
            pace = kind.pace.with_settings(settings)
            if settings.ca_file is not None:
                load_trust_root(settings.ca_file)
        except ValueError as problem:
            self._mistakes.add(("notifiers", name), str(problem))
            return None
        return NotifierPlan(name, kind, notifier, pace, settings.ca_file)

    def _messages(self, destinations: Mapping[str, Destination]) -> list[MessageRule]:
        rules = []
        for number, raw in enumerate(self._array("messages")):
            place: Place = ("messages", number)
            settings = read_table(MessageSettings, raw, place, self._mistakes)
            if settings is not None:
                mistake = self._mistake_in(place, settings.name)
                rules.append(
                    compile_message(settings, destinations, self._known_notifiers, mistake)
                )
        return rules

    def _incidents(self, destinations: Mapping[str, Destination]) -> list[IncidentRule]:
        rules = []
        for number, raw in enumerate(self._array("incidents")):
            place: Place = ("incidents", number)
            settings = read_table(IncidentSettings, raw, place, self._mistakes)
            if settings is not None:
                mistake = self._mistake_in(place, settings.name)
                rules.append(
                    compile_incident(settings, destinations, self._known_notifiers, mistake)
                )
        return rules

    def _mistake_in(self, place: Place, name: str) -> Callable[[str, str], None]:
        """Give what a rule's compiler reports to; also check that its name is its own."""
        if name in self._rule_names:
            self._mistakes.add((*place, "name"), "another rule has this name", name)
        self._rule_names.add(name)

        def mistake(where: str, what: str) -> None:
            self._mistakes.add((*place, *where.split(".")), what, name)

        return mistake
