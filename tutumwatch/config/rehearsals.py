"""Reads the ``[[tests]]`` tables: rehearsals of the rules, which ``tutumwatch check`` performs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.rehearsal_plans import ExpectedNotice, Rehearsal
from tutumwatch.config.rehearsal_reading import Reading, Surroundings
from tutumwatch.config.rehearsal_tables import ExpectedSettings, RehearsalSettings
from tutumwatch.config.scenes import Scenes
from tutumwatch.config.tables import read_table
from tutumwatch.config.values import describe
from tutumwatch.notifiers.maker import find_makers
from tutumwatch.rules.addressees import texts_in
from tutumwatch.rules.notice import Destination

# A Monday; mutes are the only ones to ask.
DEFAULT_BEGIN = datetime(2026, 1, 5, 12, tzinfo=UTC)
WAIT_SECONDS = 3600.0
LASTS_MAX_SECONDS = 31 * 86_400.0


def destinations_of_all(
    tables: Mapping[str, Any], on: Mapping[str, Destination]
) -> dict[str, Destination]:
    """Give every notifier of a file as rules know it, also those that are off.

    :param tables: those of the notifiers, which hold no mistake.
    :param on: those that are on.
    """
    makers = find_makers()
    everybody = dict(on)
    for name in tables.keys() - on.keys():
        kind = makers[tables[name]["kind"]][0].load()
        everybody[name] = Destination(name, kind.escape, kind.drops_orphans)
    return {name: everybody[name] for name in tables}


def read_rehearsals(raw: object, around: Surroundings, mistakes: Mistakes) -> list[Rehearsal]:
    """Read the array of tests, of which no two may have one name; what is wrong is noted."""
    if not isinstance(raw, list):
        mistakes.add(("tests",), f"expected tables such as [[tests]], got {describe(raw)}")
        return []
    rehearsals: list[Rehearsal] = []
    names: set[str] = set()
    for number, table in enumerate(raw):
        place: Place = ("tests", number)
        stand_ins = {"name": "", "notices": []}
        settings = read_table(RehearsalSettings, table, place, mistakes, stand_ins=stand_ins)
        if settings is None:
            continue
        if table.get("name") == "":
            mistakes.add((*place, "name"), "expected a name")
        if settings.name and settings.name in names:
            what = "another test has this name; each needs its own"
            mistakes.add((*place, "name"), what, settings.name)
        names.add(settings.name)
        reading = Reading(place, settings.name, around, mistakes)
        rehearsals.append(_Reader(settings, reading).read())
    return rehearsals


@attrs.define
class _Reader:
    """Reads one test."""

    _settings: RehearsalSettings
    _reading: Reading

    def read(self) -> Rehearsal:
        settings = self._settings
        scenes = Scenes(self._reading)
        present = list(scenes.present(settings.resources))
        steps = list(scenes.steps(settings.steps))
        last = max((step.at for step in steps), default=0.0)
        heard = self._names(settings.destinations, "destinations")
        return Rehearsal(
            name=settings.name,
            line=self._reading.line(),
            begins=self._begins(settings.begins),
            lasts=self._lasts(last),
            heard=tuple(self._reading.around.notifiers if settings.destinations is None else heard),
            present=tuple(present),
            steps=tuple(steps),
            expected=tuple(self._expected(heard)),
        )

    # -- times

    def _begins(self, raw: object) -> float:
        begins = DEFAULT_BEGIN if raw is None else raw
        if isinstance(begins, str):
            try:
                begins = datetime.fromisoformat(begins)
            except ValueError:
                begins = raw
        if not isinstance(begins, datetime):
            self._reading.note('expected a time such as "2026-11-24T01:30:00+01:00"', "begins")
            begins = DEFAULT_BEGIN
        return (begins if begins.tzinfo else begins.replace(tzinfo=UTC)).timestamp()

    def _lasts(self, last: float) -> float:
        until = self._settings.until
        if until is None:
            return last + WAIT_SECONDS
        if until.seconds < last:
            self._reading.note(
                "it would end before its last step; until counts from the start", "until"
            )
        elif until.seconds > LASTS_MAX_SECONDS:
            self._reading.note("a test may last 31 days", "until")
        return until.seconds

    # -- what is to be said

    def _expected(self, heard: Sequence[str]) -> Iterator[ExpectedNotice]:
        for number, raw in self._reading.tables("notices", self._settings.notices):
            settings = self._reading.read(ExpectedSettings, raw, "notices", number)
            if settings is None:
                continue
            below = ("notices", number)
            if settings.rule is not None:
                self._reading.require(
                    settings.rule, "rule", self._reading.around.rules, *below, "rule"
                )
            for notifier in self._names(settings.to, *below, "to"):
                if heard and notifier not in heard:
                    self._reading.note(f"{notifier!r} is not among the destinations", *below, "to")
                yield ExpectedNotice(
                    notifier,
                    settings.text,
                    settings.form,
                    settings.rule,
                    settings.key,
                    None if settings.at is None else settings.at.seconds,
                )

    def _names(self, raw: object, *below: str | int) -> list[str]:
        names = [] if raw is None else texts_in(raw)
        if names is None:
            self._reading.note(
                'expected the name of a notifier, or a list such as ["slack"]', *below
            )
            return []
        for name in names:
            self._reading.require(name, "notifier", self._reading.around.notifiers, *below)
        return names
