"""Message rules: say something each time, when everything is known that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.inventory.survey import full_name, list_names
from tutumwatch.rules.decisions import Need, WaitingRow
from tutumwatch.rules.matchers import Answer, Matcher, Verdict, compile_matcher
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.rules.texts import Text, TextError, compile_text
from tutumwatch.rules.view import Unknown, Value, View
from tutumwatch.rules.vocabulary import PARENT_TYPES, Path, suggestion
from tutumwatch.settings import Settings

DETAILS_UNKNOWN = "details unknown"
LATE = "late"

DEFAULT_TEXT = "{{ type }} {{ name or resource_uri }} is {{ state | lower or action | past }}"


class MessageSettings(Settings, frozen=True, kw_only=True):
    """One ``[[messages]]`` table: say something each time something matches."""

    name: str
    match: Any
    notify: list[str]
    text: str = DEFAULT_TEXT
    fresh: list[str] = msgspec.field(default_factory=list)


@attrs.frozen
class MessageRule:
    """A compiled ``[[messages]]`` table; ``texts`` has one for each notifier that is on."""

    name: str
    matcher: Matcher
    texts: Mapping[str, Text]
    fresh: frozenset[str] = frozenset()

    def judge(
        self, change: Change, inventory: Inventory, waited: WaitingRow | None = None
    ) -> Verdict:
        """Judge a change: NO, UNKNOWN with what to look up, or YES: all that is said is known."""
        view = self._view(change, inventory, waited)
        verdict = self.matcher.judge(view)
        if verdict.answer is Answer.NO:
            return verdict
        values = [view.value(path) for text in self.texts.values() for path in text.paths]
        needs = {value.need for value in values if isinstance(value, Unknown)}
        needs = needs | verdict.needs
        return Verdict(Answer.UNKNOWN, frozenset(needs)) if needs else verdict

    def write(
        self, change: Change, inventory: Inventory, waited: WaitingRow | None = None
    ) -> list[Notice]:
        """Write what this rule says of a change, once for each of its notifiers."""
        view = self._view(change, inventory, waited)
        marks = ((LATE,) if change.late else ()) + _marks(waited)
        return [
            Notice(
                id=f"{change.id}/{self.name}/{notifier}",
                form=Form.MESSAGE,
                rule=self.name,
                notifier=notifier,
                key=lane_of(change.after),
                text=render_or_say(text, view, change) + "".join(f" ({mark})" for mark in marks),
                at=change.at,
                marks=marks,
                details=facts_of(change.after),
            )
            for notifier, text in self.texts.items()
        ]

    def summarize(
        self, changes: Sequence[Change], inventory: Inventory, listing_id: str
    ) -> list[Notice]:
        """Write one notice of many changes that were found at once."""
        names = [_outcome(change, inventory) for change in changes]
        said = f"{self.name}: {len(changes)} changes: {list_names(names)}"
        return [
            Notice(
                id=f"{listing_id}/{self.name}/{notifier}",
                form=Form.MESSAGE,
                rule=self.name,
                notifier=notifier,
                key=f"summary/{self.name}",
                text=f"{text.escape(said)} ({LATE})",
                at=changes[-1].at,
                marks=(LATE,),
            )
            for notifier, text in self.texts.items()
        ]

    def wait(self, change: Change, needs: frozenset[Need], number: int, at: float) -> WaitingRow:
        """Keep the place of what this rule may have to say."""
        return WaitingRow(
            id=f"{change.id}/{self.name}",
            rule=self.name,
            notifiers=tuple(self.texts),
            key=lane_of(change.after),
            change=change,
            number=number,
            due=at + LOOK_UP_DEADLINE_SECONDS,
            needs=needs,
        )

    def _view(self, change: Change, inventory: Inventory, waited: WaitingRow | None) -> View:
        answered = waited.answered if waited is not None else frozenset()
        return View(inventory, change, self.fresh, answered)


def _outcome(change: Change, inventory: Inventory) -> str:
    """Say in a few words what became of a resource: ``shop/web running``."""
    after = change.after
    parents = (inventory.get(key) for key in after.parent_keys())
    names = {p.key: p.name for p in parents if p is not None and p.type == "stack" and p.name}
    state = "gone" if after.gone_at is not None else (after.state or "").lower()
    return f"{full_name(after, names)} {state}".rstrip()


def lane_of(resource: Resource) -> str:
    """Give the key that all messages about a resource keep their order by."""
    return "/".join(resource.key)


def facts_of(resource: Resource) -> dict[str, str]:
    """Give what destinations that show details may show of a resource."""
    facts = {
        "type": resource.type,
        "name": resource.name,
        "state": resource.state,
        "resource_uri": resource.uri,
        "stream": resource.stream,
        "reason": (resource.fields or {}).get("reason"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def render_or_say(text: Text, view: View, change: Change) -> str:
    """Render a text; one that fails never kills a notice: a plain sentence goes out instead."""
    values: dict[Path, Value] = {path: view.value(path) for path in text.paths}
    try:
        return text.render(values)
    except Exception as problem:  # noqa: BLE001 - a template may raise anything; said in the notice
        after = change.after
        what = f"{after.type} {after.name or after.uri or after.key[2]}"
        happened = change.action or after.state or change.kind.value
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
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> MessageRule:
    """Compile a ``[[messages]]`` table.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    :param mistake: told of each mistake: the key, and what is wrong.
    """
    matcher = compile_matcher(
        settings.match, lambda where, what: mistake(f"match.{where}".rstrip("."), what)
    )
    for type_ in settings.fresh:
        if type_ not in PARENT_TYPES:
            mistake("fresh", f"{type_!r} is no type of parent{suggestion(type_, PARENT_TYPES)}")
    texts = compile_texts("text", settings.text, settings.notify, destinations, known, mistake)
    return MessageRule(settings.name, matcher, texts, frozenset(settings.fresh))


def compile_texts(
    key: str,
    source: str,
    notify: Sequence[str],
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> dict[str, Text]:
    """Compile one text for each notifier that is named and on; each mistake is told once."""
    texts: dict[str, Text] = {}
    try:
        compile_text(source, str)
        texts = {
            name: compile_text(source, destinations[name].escape)
            for name in notify
            if name in destinations
        }
    except TextError as problem:
        mistake(key, str(problem))
    if not notify:
        mistake("notify", "names no notifier, so nobody would be told")
    for name in notify:
        if name not in known:
            mistake("notify", f"there is no notifier {name!r}{suggestion(name, known)}")
    return texts
