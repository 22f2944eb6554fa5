"""Message rules: what they are, and what one writes of a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.rules.decisions import Need, WaitingRow
from tutumwatch.rules.gathered import and_more
from tutumwatch.rules.matchers import Matcher, compile_matcher
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.rules.routes import Audience, Routes, compile_audience
from tutumwatch.rules.texts import Text, TextError, compile_text
from tutumwatch.rules.view import Unknown, View
from tutumwatch.rules.vocabulary import PARENT_TYPES, suggestion
from tutumwatch.settings import Duration, Settings

DETAILS_UNKNOWN = "details unknown"
LATE = "late"

DEFAULT_TEXT = "{{ summary }}"
# The parents whose names stand in the details.
NAMED_PARENTS = ("service", "stack", "node")


class MessageSettings(Settings, frozen=True, kw_only=True):
    """One ``[[messages]]`` table: say something each time something matches."""

    name: str
    match: Any
    notify: Any
    when: str | None = None
    text: str = DEFAULT_TEXT
    fresh: list[str] = msgspec.field(default_factory=list)
    cooldown: Duration = Duration(0.0)
    change: bool = False


@attrs.frozen
class MessageRule:
    """A compiled ``[[messages]]`` table; ``texts`` has one for each notifier that it may reach.

    ``fresh``: the types of parents that are looked up each time. ``cooldown_seconds``: how long it
    rests after it spoke of a resource. ``change``: its notices ask nobody to act.
    """

    name: str
    matcher: Matcher
    audience: Audience
    texts: Mapping[str, Text]
    fresh: frozenset[str] = frozenset()
    cooldown_seconds: float = 0.0
    change: bool = False

    @property
    def may_be_heard(self) -> bool:
        """Whether there is anybody that it could tell, or a role by which there should be."""
        return bool(self.texts or self.audience.roles)

    def may_take(self, change: Change) -> bool:
        """Say whether it may have something to say of a change, by type, state and action."""
        return self.may_be_heard and not self.matcher.refuses(change)

    def view(self, inventory: Inventory, change: Change, waited: WaitingRow | None = None) -> View:
        """Give what this rule sees of a change."""
        answered = waited.answered if waited is not None else frozenset()
        return View(inventory, change, self.fresh, answered)

    def text_needs(self, view: View) -> frozenset[Need]:
        """Give what must be looked up before its texts can say all that they name."""
        # All are one text, escaped for different destinations.
        text = next(iter(self.texts.values()), None)
        values = (view.value(path) for path in (text.paths if text is not None else ()))
        return frozenset(value.need for value in values if isinstance(value, Unknown))

    def write(
        self,
        change: Change,
        view: View,
        notifiers: Iterable[str],
        waited: WaitingRow | None = None,
        more_count: int = 0,
    ) -> list[Notice]:
        """Write what this rule says of a change, once for each of some notifiers.

        :param waited: the row that kept its place, as it is now.
        :param more_count: how much a cooldown has kept back before it.
        """
        marks = ((LATE,) if change.late else ()) + _marks(waited)
        ending = "".join(f" ({mark})" for mark in marks) + and_more(more_count)
        facts = facts_of(change.after, view)
        return [
            Notice(
                id=f"{change.id}/{self.name}/{notifier}",
                form=Form.MESSAGE,
                rule=self.name,
                notifier=notifier,
                key=lane_of(change.after),
                text=render_or_say(self.texts[notifier], view, change) + ending,
                at=change.at,
                marks=marks,
                details=facts,
                is_change=self.change,
            )
            for notifier in notifiers
        ]

    def wait(
        self, change: Change, notifiers: Sequence[str], needs: frozenset[Need], number: int
    ) -> WaitingRow:
        """Keep the place of what this rule may have to say."""
        return WaitingRow(
            id=f"{change.id}/{self.name}",
            rule=self.name,
            notifiers=tuple(notifiers),
            key=lane_of(change.after),
            change=change,
            number=number,
            due=change.at + LOOK_UP_DEADLINE_SECONDS,
            needs=needs,
        )


def lane_of(resource: Resource) -> str:
    """Give the key that all messages about a resource keep their order by."""
    return "/".join(resource.key)


def facts_of(resource: Resource, view: View | None = None) -> dict[str, str]:
    """Give what destinations that show details may show of a resource.

    :param view: knows the names of its parents; those that are not known are left out.
    """
    facts: dict[str, Any] = {
        "type": resource.type,
        "name": resource.name,
        "state": resource.state,
        "resource_uri": resource.uri,
        "stream": resource.stream,
        "reason": (resource.fields or {}).get("reason"),
    }
    if view is not None:
        for type_ in NAMED_PARENTS:
            name = view.value((type_, "name"))
            facts[type_] = name if isinstance(name, str) else None
    return {name: str(value) for name, value in facts.items() if value}


def render_or_say(text: Text, view: View, change: Change) -> str:
    """Render a text; one that fails never kills a notice: a plain sentence goes out instead."""
    try:
        return text.say(view)
    except Exception as problem:  # noqa: BLE001 - a template may raise anything; said in the notice
        after = change.after
        what = f"{after.type} {after.name or after.uri or after.key[2]}"
        # That something is updated says less than what it is now.
        action = None if change.action == "update" else change.action
        happened = action or after.state or change.kind.value
        return text.escape(f"{what}: {happened} (its text failed: {type(problem).__name__})")


def _marks(waited: WaitingRow | None) -> tuple[str, ...]:
    """Say how sure a notice is, from how its look-ups ended."""
    if waited is None:
        return ()
    names = (parse_resource_uri(uri) for uri in sorted(waited.missing))
    gone = tuple(f"the {name.type} is gone" for name in names if name is not None)
    return (*gone, DETAILS_UNKNOWN) if waited.failed else gone


def compile_message(
    settings: MessageSettings,
    routes: Routes,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> MessageRule:
    """Compile a ``[[messages]]`` table.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    :param mistake: told of each mistake: the key, and what is wrong.
    """
    matcher = compile_matcher(settings.match, mistake, settings.when, key="match")
    for type_ in settings.fresh:
        if type_ not in PARENT_TYPES:
            near = suggestion(type_, PARENT_TYPES) or "; write service, stack or node"
            mistake("fresh", f"{type_!r} is no type of parent{near}")
    audience = compile_audience(settings.notify, routes, destinations, known, mistake)
    names = [name for name in routes.reachable(audience) if name in destinations]
    return MessageRule(
        name=settings.name,
        matcher=matcher,
        audience=audience,
        texts=compile_texts("text", settings.text, names, destinations, mistake),
        fresh=frozenset(settings.fresh),
        cooldown_seconds=settings.cooldown.seconds,
        change=settings.change,
    )


def compile_texts(
    key: str,
    source: str,
    notifiers: Iterable[str],
    destinations: Mapping[str, Destination],
    mistake: Callable[[str, str], None],
) -> dict[str, Text]:
    """Compile a text for each of some notifiers that are on; a mistake in it is told once."""
    try:
        compile_text(source, str)
        return {name: compile_text(source, destinations[name].escape) for name in notifiers}
    except TextError as problem:
        mistake(key, str(problem))
        return {}
