"""What is withheld for a while: by the mutes of the configuration, and the silences of people.

What cannot be told for certain to be within one is said: too much is better than nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs
import msgspec

from tutumwatch.events.inputs import Silence
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.decisions import Owed, RecordName
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.records import Records
from tutumwatch.rules.said import Said
from tutumwatch.rules.scopes import Mistake, Scope, compile_scope
from tutumwatch.rules.view import View
from tutumwatch.rules.windows import DEFAULT_ZONE, Span, WeeklyWindow, compile_window
from tutumwatch.settings import Settings

SILENCE = "silence"
# An expired silence is still shown for so long.
REMEMBERED_SECONDS = 24 * 3600.0
_MUTE, _OLD = "mute", "old"

_decode = msgspec.msgpack.Decoder(Silence).decode


class MuteSettings(Settings, frozen=True, kw_only=True):
    """One ``[[mutes]]`` table: say nothing of what matches, at certain times."""

    name: str
    match: Any
    days: list[str] | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    tz: str = DEFAULT_ZONE


@attrs.frozen
class Mute:
    """A compiled ``[[mutes]]`` table; ``match`` is as it was written."""

    name: str
    match: Any
    scope: Scope
    window: WeeklyWindow


def compile_mute(settings: MuteSettings, rules: Collection[str], mistake: Mistake) -> Mute:
    """Compile a ``[[mutes]]`` table.

    :param rules: the names of all rules.
    :param mistake: told of each mistake: the key, and what is wrong.
    """
    scope = compile_scope(
        settings.match, lambda where, what: mistake(f"match.{where}".rstrip("."), what), rules
    )
    window = compile_window(settings.days, settings.from_, settings.to, settings.tz, mistake)
    return Mute(settings.name, settings.match, scope, window)


@attrs.define
class Silences:
    """The mutes of the configuration, and the silences that were not forgotten yet.

    Mutes come by :meth:`use`, at every start and reload. ``said``: what was said lately.
    ``records``: what has to be kept over a restart.
    """

    mutes: tuple[Mute, ...] = attrs.field(default=(), init=False)
    said: Said = attrs.field(init=False)
    _silences: dict[str, Silence] = attrs.field(factory=dict, init=False)
    _scopes: dict[str, Scope] = attrs.field(factory=dict, init=False)
    # When a mute holds next, and since when we know that.
    _spans: dict[str, tuple[float, Span]] = attrs.field(factory=dict, init=False)
    _timers: Timers[tuple[str, str]] = attrs.field(factory=Timers, init=False)
    records: Records = attrs.field(factory=Records, init=False)

    def __attrs_post_init__(self) -> None:
        """Let what was said be kept with the rest."""
        self.said = Said(self.records)

    def __iter__(self) -> Iterator[Silence]:
        """Give the silences of people, in the order in which they came."""
        return iter(list(self._silences.values()))

    def get(self, silence_id: str) -> Silence | None:
        """Give a silence that is not forgotten yet."""
        return self._silences.get(silence_id)

    def use(self, mutes: Iterable[Mute], at: float) -> None:
        """Go by the mutes of a configuration from now on."""
        for mute in self.mutes:
            self._timers.cancel((_MUTE, mute.name))
        self.mutes = tuple(mutes)
        self._spans = {}
        for mute in self.mutes:
            self._timers.set((_MUTE, mute.name), self.span_of(mute, at).ends)

    def span_of(self, mute: Mute, now: float) -> Span:
        """Give from when to when a mute holds that holds now, or else will hold next."""
        known = self._spans.get(mute.name)
        if known is None or not known[0] <= now < known[1].ends:
            known = self._spans[mute.name] = (now, mute.window.span(now))
        return known[1]

    def add(self, silence: Silence) -> None:
        """Silence what matches, from and until the times that a silence names.

        :raises ValueError: if its match means nothing.
        """
        self._keep(silence)
        self.records.put((SILENCE, silence.id), msgspec.msgpack.encode(silence))

    def _keep(self, silence: Silence) -> None:
        self._scopes[silence.id] = scope_of(silence.match)
        self._silences[silence.id] = silence
        self._timers.set((SILENCE, silence.id), silence.ends)
        self._timers.set((_OLD, silence.id), silence.ends + REMEMBERED_SECONDS)

    def remove(self, silence_id: str) -> bool:
        """Forget a silence; say whether there was one."""
        if self._silences.pop(silence_id, None) is None:
            return False
        del self._scopes[silence_id]
        self._timers.cancel((SILENCE, silence_id))
        self._timers.cancel((_OLD, silence_id))
        self.records.put((SILENCE, silence_id), None)
        return True

    def withholding(self, rule: str, view: View, now: float) -> str | None:
        """Give what withholds that a rule says something of a resource: an id, or a mute's name.

        None: nothing does, for all that is known.
        """
        for name, scope in self._holding(now):
            if scope.judge(rule, view) is Answer.YES:
                return name
        return None

    def _holding(self, now: float) -> Iterator[tuple[str, Scope]]:
        for silence in self._silences.values():
            if silence.starts <= now < silence.ends:
                yield silence.id, self._scopes[silence.id]
        for mute in self.mutes:
            if self.span_of(mute, now).begins <= now:
                yield mute.name, mute.scope

    def ends_at(self, name: str, now: float) -> float | None:
        """Give when that ends, or ends next, which a name or id names; None if it is over."""
        silence = self._silences.get(name)
        if silence is not None:
            return silence.ends if now < silence.ends else None
        for mute in self.mutes:
            if mute.name == name:
                return self.span_of(mute, now).ends
        return None

    def next_due(self) -> float | None:
        """Give when the first one ends, or is forgotten."""
        return self._timers.next_due()

    def tick(self, now: float) -> list[str]:
        """Give the names and ids of those that ended since this was asked last."""
        ended: list[str] = []
        mutes = {mute.name: mute for mute in self.mutes}
        for kind, name in self._timers.take_due(now):
            if kind == _OLD:
                self.remove(name)
                continue
            ended.append(name)
            if kind == _MUTE:
                self._timers.set((_MUTE, name), self.span_of(mutes[name], now).ends)
        return ended

    def note(self, owed: Iterable[Owed], at: float) -> None:
        """Remember for a day what was said; see :class:`tutumwatch.rules.said.Said`."""
        self.said.note(owed, at)

    def restore(self, records: Mapping[RecordName, bytes]) -> int:
        """Begin with what was kept when we last ran; :meth:`use` comes next.

        :return: how many records could not be read; they are forgotten.
        """
        unreadable = self.said.restore(records)
        for name, record in records.items():
            if name[0] == SILENCE:
                try:
                    self._keep(_decode(record))
                except (msgspec.MsgspecError, ValueError):
                    unreadable += 1
                    self.records.put(name, None)
        self._silences = {one.id: one for one in sorted(self, key=lambda one: one.at)}
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self.said.save_everything()
        for silence in self._silences.values():
            self.records.put((SILENCE, silence.id), msgspec.msgpack.encode(silence))


def scope_of(match: object) -> Scope:
    """Compile the match of a silence.

    :raises ValueError: with every mistake in it.
    """
    found: list[str] = []
    scope = compile_scope(
        match, lambda where, what: found.append(f"{where}: {what}" if where else what)
    )
    if found:
        raise ValueError("; ".join(found))
    return scope
