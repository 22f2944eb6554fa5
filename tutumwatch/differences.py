"""In what two configurations differ, in words: names and keys, never what they are set to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import msgspec

from tutumwatch.config.plans import Configuration, NotifierPlan, StreamPlan
from tutumwatch.config.status import DEFAULT_LISTEN
from tutumwatch.settings import Settings

FROM_NEXT_START = "counts from the next start"
# Written as lists of tables that have names; the first two of them are rules.
_NAMED = {"messages": "rule", "incidents": "rule", "mutes": "mute"}

_Written: TypeAlias = Mapping[str, Any]
_Name: TypeAlias = tuple[str, str]
"""(what it is, its name)"""


def describe_differences(before: Configuration, after: Configuration) -> list[str]:
    """Say in a few words each what is added (+), taken away (-) and changed (~)."""
    rules = _Rules.of(before.written, after.written)
    return [
        *_notifiers(before, after),
        *_streams(before, after),
        *rules.lines(),
        *_others(before.written, after.written),
        *_services(before, after),
        f"{rules.unchanged_count} {'rule' if rules.unchanged_count == 1 else 'rules'} unchanged",
    ]


def _notifiers(before: Configuration, after: Configuration) -> Iterator[str]:
    olds = {plan.name: plan for plan in before.notifiers}
    news = {plan.name: plan for plan in after.notifiers}
    yield from (f"+ notifier {name}" for name in news if name not in olds)
    for name, old in olds.items():
        if name not in news:
            yield f"- notifier {name}" + (f" ({after.off[name]})" if name in after.off else "")
        # Not the plans: a notifier that somebody else wrote may be equal to itself alone.
        elif keys := _with_trust(_changed_keys(old.settings, news[name].settings), old, news[name]):
            yield _changed(f"notifier {name}", keys)


def _streams(before: Configuration, after: Configuration) -> Iterator[str]:
    olds = {plan.name: plan for plan in before.streams}
    news = {plan.name: plan for plan in after.streams}
    yield from (f"+ stream {name}" for name in news if name not in olds)
    for name, old in olds.items():
        if name not in news:
            yield f"- stream {name}"
        elif keys := _changed_stream_keys(old, news[name]):
            yield _changed(f"stream {name}", keys)


def _changed_stream_keys(old: StreamPlan, new: StreamPlan) -> list[str]:
    # On these the environment may have its say, too: what came of them counts.
    keys = [key for key in ("url", "rest", "credentials") if getattr(old, key) != getattr(new, key)]
    others = _changed_keys(old.settings, new.settings)
    keys += [key for key in others if key not in {*keys, "url", "rest", "auth", "user", "apikey"}]
    return _with_trust(keys, old, new)


def _with_trust(
    keys: list[str], old: StreamPlan | NotifierPlan, new: StreamPlan | NotifierPlan
) -> list[str]:
    """Add the file of the CA if only what it holds has changed."""
    return keys if old.trust == new.trust or "ca_file" in keys else [*keys, "ca_file"]


def _changed_keys(old: Settings, new: Settings) -> list[str]:
    olds, news = (
        {f.encode_name: getattr(s, f.name) for f in msgspec.structs.fields(s)} for s in (old, new)
    )
    return [key for key in {**olds, **news} if olds.get(key) != news.get(key)]


def _changed(what: str, keys: Sequence[str]) -> str:
    return f"~ {what} ({', '.join(keys)})" if keys else f"~ {what}"


@attrs.frozen
class _Table:
    """A table that has a name, without that: the array that it is in, and its keys.

    ``was``: what it says that it was called before.
    """

    array: str
    keys: _Written
    was: str | None = attrs.field(eq=False)


@attrs.frozen
class _Rules:
    """The tables that have names, as they were and as they are: by what they are, and the name."""

    before: Mapping[_Name, _Table]
    after: Mapping[_Name, _Table]

    @classmethod
    def of(cls, before: _Written, after: _Written) -> _Rules:
        return cls(_named(before), _named(after))

    def lines(self) -> Iterator[str]:
        renamed = self._renamed()
        new_names = set(renamed.values())
        for name in self.after:
            if name not in self.before and name not in new_names:
                yield f"+ {_words(name)}"
        for name in self.before:
            if name not in self.after and name not in renamed:
                yield f"- {_words(name)}"
        for name, old in self.before.items():
            new_name = renamed.get(name, name)
            new = self.after.get(new_name)
            if new is not None and (new != old or new_name != name):
                was = [f"was {name[1]!r}"] if new_name != name else []
                yield _changed(_words(new_name), was + _changed_table(old, new))

    @property
    def unchanged_count(self) -> int:
        return sum(
            name[0] == "rule" and self.after.get(name) == old for name, old in self.before.items()
        )

    def _renamed(self) -> dict[_Name, _Name]:
        """Give the new name of each that another table says it was called before."""
        return {
            (name[0], new.was): name
            for name, new in self.after.items()
            if new.was is not None
            and name not in self.before
            and (name[0], new.was) in self.before
            and (name[0], new.was) not in self.after
        }


def _named(written: _Written) -> dict[_Name, _Table]:
    return {
        (kind, str(table.get("name"))): _Table(
            array, {k: v for k, v in table.items() if k not in {"name", "was"}}, table.get("was")
        )
        for array, kind in _NAMED.items()
        for table in written.get(array, ())
    }


def _words(name: _Name) -> str:
    return f"{name[0]} {name[1]!r}"


def _changed_table(old: _Table, new: _Table) -> list[str]:
    if old.array != new.array:
        return [f"from [[{old.array}]] to [[{new.array}]]"]
    return [key for key in {**old.keys, **new.keys} if old.keys.get(key) != new.keys.get(key)]


def _others(before: _Written, after: _Written) -> Iterator[str]:
    """Compare what has no name: a list of routes, a number, whatever else there may be."""
    for key in {**before, **after}:
        if key not in _NAMED and before.get(key) != after.get(key):
            yield f"{'+' if key not in before else '-' if key not in after else '~'} {key}"


def _services(before: Configuration, after: Configuration) -> Iterator[str]:
    if keys := _changed_keys(before.heartbeat, after.heartbeat):
        yield _changed("heartbeat", keys)
    if (before.status.listen or DEFAULT_LISTEN) != (after.status.listen or DEFAULT_LISTEN):
        yield _changed("status", ["listen"])
    if before.store_path != after.store_path:
        yield f"~ store (path: {FROM_NEXT_START})"
