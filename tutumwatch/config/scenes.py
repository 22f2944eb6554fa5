"""Reads what there is in a test, and what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import attrs

from tutumwatch.config.casting import Cast, CastingError, Role
from tutumwatch.config.rehearsal_plans import EventStep, LinkStep, Portrayal, RestStep, Step
from tutumwatch.config.rehearsal_reading import Reading
from tutumwatch.config.rehearsal_tables import (
    PARENT_KEYS,
    STATE_AT_THE_START,
    EventSettings,
    NotifierStepSettings,
    PortrayalSettings,
    PresentSettings,
    RestStepSettings,
    StepSettings,
    StreamStepSettings,
    explain_labels,
    explain_state,
    explain_update_state,
    fields_of,
    kind_of_step,
)
from tutumwatch.events.inputs import LinkType
from tutumwatch.inventory.resource import GONE_STATE
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.settings import Settings

DELETE, CREATE, UPDATE = "delete", "create", "update"

_Read = TypeVar("_Read", bound=Settings)


@attrs.define
class Scenes:
    """Reads resources and steps of one test, in their order: each may name those before it."""

    _reading: Reading
    _casts: dict[str, Cast] = attrs.field(factory=dict)
    # Of what could not be read nobody knows whom it would have brought.
    _is_whole: bool = True

    def _read(self, kind: type[_Read], raw: object, *below: str | int) -> _Read | None:
        settings = self._reading.read(kind, raw, *below)
        self._is_whole = self._is_whole and settings is not None
        return settings

    def present(self, raw: object) -> Iterator[Portrayal]:
        """Read ``resources``: what is there at the start."""
        for number, table in self._reading.tables("resources", raw):
            settings = self._read(PresentSettings, table, "resources", number)
            if settings is not None:
                told = self._introduce(settings, "resources", number)
                yield from [told] if told is not None else []

    def _introduce(self, settings: PresentSettings, *below: str | int) -> Portrayal | None:
        found = self._find(settings, *below)
        if found is None:
            return None
        role, parents = found
        if role is not None:
            what = f"another {settings.type} has this name; each needs its own"
            self._reading.note(what, *below, "name")
            return None
        cast = self._cast(settings)
        state = settings.state or STATE_AT_THE_START[settings.type]
        return self._portray(settings, cast.join(settings.type, settings.name, parents), state)

    def steps(self, raw: object) -> Iterator[Step]:
        """Read ``steps``: what happens."""
        before = 0.0
        for number, table in self._reading.tables("steps", raw):
            kind: type[StepSettings] = kind_of_step(table)
            settings = self._read(kind, table, "steps", number)
            if settings is None:
                continue
            step = self._step(settings, number)
            if settings.at.seconds < before:
                what = "it comes before the step above it; steps stand in the order of time"
                self._reading.note(what, "steps", number, "at")
            before = max(before, settings.at.seconds)
            if step is not None:
                yield step

    def _step(self, settings: StepSettings, number: int) -> Step | None:
        match settings:
            case EventSettings():
                return self._event(settings, "steps", number)
            case StreamStepSettings(stream=name):
                self._reading.require(
                    name, "stream", self._reading.around.streams, "steps", number, "stream"
                )
                return _link(settings, LinkType.STREAM, name)
            case NotifierStepSettings(notifier=name):
                self._reading.require(
                    name, "notifier", self._reading.around.notifiers, "steps", number, "notifier"
                )
                return _link(settings, LinkType.NOTIFIER, name)
            case RestStepSettings():
                return RestStep(settings.at.seconds, settings.rest == "up")

    def _event(self, settings: EventSettings, *below: str | int) -> EventStep | None:
        found = self._find(settings, *below)
        if found is None:
            return None
        role, parents = found
        cast = self._cast(settings)
        is_gone = settings.action == DELETE or (settings.state or "").lower() == GONE_STATE
        is_new = role is None
        if is_new and (is_gone or settings.state is None):
            if self._is_whole:
                self._note_stranger(settings, cast, *below, is_gone=is_gone)
            return None
        role = role or cast.join(settings.type, settings.name, parents)
        cast.adopt(role, parents)
        told = self._portray(settings, role, settings.state)
        action = settings.action or (DELETE if is_gone else CREATE if is_new else UPDATE)
        if is_gone:
            cast.leave(role)
        return EventStep(settings.at.seconds, told, action, is_gone, settings.bare)

    def _note_stranger(
        self, settings: EventSettings, cast: Cast, *below: str | int, is_gone: bool
    ) -> None:
        near = suggestion(settings.name, cast.names_of(settings.type))
        if is_gone:
            remedy = near or "; declare it in resources, or in a step before"
            what = f"there is no {settings.type} {settings.name!r} that could go{remedy}"
        else:
            what = f"the {settings.type} {settings.name!r}{near} is new: say in which state it is"
        self._reading.note(what, *below, "name")

    def _find(
        self, settings: PresentSettings | EventSettings, *below: str | int
    ) -> tuple[Role | None, dict[str, Role]] | None:
        """Find out who is meant, and who its parents are; None if that is a mistake."""
        self._check_values(settings, *below)
        written = {key: getattr(settings, key) for key in PARENT_KEYS}
        named = {key: name for key, name in written.items() if name is not None}
        if settings.stream is not None:
            self._reading.require(
                settings.stream, "stream", self._reading.around.streams, *below, "stream"
            )
        cast = self._cast(settings)
        try:
            parents = cast.parents_of(settings.type, named)
            return cast.find(settings.type, settings.name, parents), parents
        except CastingError as problem:
            if self._is_whole or not problem.is_nobody:
                self._reading.note(str(problem), *below, problem.key)
            self._is_whole = False
            return None

    def _check_values(self, settings: PortrayalSettings, *below: str | int) -> None:
        checks = (
            ("state", explain_state),
            ("update_state", explain_update_state),
            ("labels", explain_labels),
        )
        if settings.name == "":
            self._reading.note("expected a name", *below, "name")
        for key, explain in checks:
            value = getattr(settings, key)
            if value is not None and (why := explain(value)):
                self._reading.note(why, *below, key)

    def _cast(self, settings: PortrayalSettings) -> Cast:
        return self._casts.setdefault(self._stream_of(settings), Cast())

    def _stream_of(self, settings: PortrayalSettings) -> str:
        return settings.stream or next(iter(self._reading.around.streams), "")

    def _portray(self, settings: PortrayalSettings, role: Role, state: str | None) -> Portrayal:
        return Portrayal(
            self._stream_of(settings),
            role.type,
            role.name,
            role.uri,
            state,
            {type_: parent.uri for type_, parent in role.parents.items()},
            fields_of(settings),
        )


def _link(
    settings: StreamStepSettings | NotifierStepSettings, type_: LinkType, name: str
) -> LinkStep:
    return LinkStep(settings.at.seconds, type_, name, settings.state, settings.reason)
