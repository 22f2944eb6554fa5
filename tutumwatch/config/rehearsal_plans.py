"""A ``[[tests]]`` table, read and checked: what there is, what happens, and what is to be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from tutumwatch.events.inputs import LinkType
from tutumwatch.rules.patterns import compile_pattern


@attrs.frozen
class Portrayal:
    """What a test tells of a resource; what it does not tell stays as it was.

    ``uri``: made up, as the names of the platform are. ``parents``: their resource_uris, by type.
    ``fields``: by what rules call them.
    """

    stream: str
    type: str
    name: str
    uri: str
    state: str | None = None
    parents: Mapping[str, str] = attrs.field(factory=dict)
    fields: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class EventStep:
    """An event of a resource, ``at`` seconds from the start.

    ``is_gone``: the platform does not have it any more. ``is_bare``: the event does not carry the
    object's fields.
    """

    at: float
    told: Portrayal
    action: str
    is_gone: bool = False
    is_bare: bool = False


@attrs.frozen
class LinkStep:
    """A connection of ours changes its state."""

    at: float
    type: LinkType
    name: str
    state: str
    reason: str = ""


@attrs.frozen
class RestStep:
    """The platform answers look-ups no more, or again."""

    at: float
    is_up: bool


Step: TypeAlias = EventStep | LinkStep | RestStep


@attrs.frozen
class ExpectedNotice:
    """Something that one notifier is to be told; what is None may be anything.

    ``text`` and ``key`` are globs; ``at``: seconds from the start, to the second.
    """

    notifier: str
    text: str | None = None
    form: str | None = None
    rule: str | None = None
    key: str | None = None
    at: float | None = None

    def takes(self, at: float, form: str, rule: str, key: str, text: str) -> bool:
        """Say whether this is what was expected."""
        return (
            (self.at is None or round(at) == round(self.at))
            and self.form in {None, form}
            and self.rule in {None, rule}
            and (self.key is None or compile_pattern(self.key, has_case=True)(key))
            and (self.text is None or compile_pattern(self.text, has_case=True)(text))
        )


@attrs.frozen
class Rehearsal:
    """A whole test.

    ``line``: where it stands in its file. ``begins``: in seconds since 1970; it ends ``lasts``
    seconds later. ``heard``: the notifiers whose notices are looked at. ``present``: what is there
    at the start, parents first.
    """

    name: str
    line: int | None
    begins: float
    lasts: float
    heard: tuple[str, ...]
    present: tuple[Portrayal, ...]
    steps: tuple[Step, ...]
    expected: tuple[ExpectedNotice, ...]
