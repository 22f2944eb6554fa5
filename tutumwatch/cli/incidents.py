"""``tutumwatch incidents``: what is open, and what is on its way; closes what a person says."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs
import click
import msgspec

from tutumwatch.cli.finding import ask_watcher, fail, find_store, store_options
from tutumwatch.cli.terminal import age, counted, moment, table, visible
from tutumwatch.control.client import NobodyAnswersError, NotRunningError, ask
from tutumwatch.control.wire import KEY_MAX_CHARS, AskResolve, AskStatus, socket_path
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.survey import list_names
from tutumwatch.outbox.sqlite.reading import UnreadableStoreError, open_to_read
from tutumwatch.rules.members import (
    MEMBER,
    OPEN,
    IncidentName,
    Member,
    OpenIncident,
    Phase,
    decode_member,
    decode_open,
)

_HEAD = ("since", "state", "rule", "key", "told", "what")
WITHHELD = "withheld"
# What is open first, then what may be soon.
_STATES = (
    Phase.OPEN.value,
    Phase.CLEARING.value,
    Phase.PENDING.value,
    WITHHELD,
    Phase.EXCUSED.value,
    Phase.DISMISSED.value,
)
_NOTHING = "no incident is open, and none is on its way"

_Kept = TypeVar("_Kept")


@click.group(invoke_without_command=True)
@click.pass_context
def incidents(context: click.Context) -> None:
    """Show which incidents are open and which may open soon; close one by hand.

    Without a command, it is list.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_, config=None, store=None, as_json=False)


@attrs.frozen
class ShownIncident:
    """An incident that is open, or whose members are on their way.

    ``members``: those that are why it is in this state. ``opened``: None if it is not open.
    """

    name: IncidentName
    state: str
    members: Sequence[Member]
    opened: OpenIncident | None = None

    @property
    def since(self) -> float:
        """When it opened; of one that did not, since when it is so."""
        if self.opened is not None:
            return self.opened.since
        return min(member.since for member in self.members)

    @property
    def key(self) -> str:
        """What it is called where it is told."""
        return self.opened.key if self.opened is not None else self.name[1]

    @property
    def opens_at(self) -> float | None:
        """When it opens if nothing changes; None if that is not known, or it is open."""
        if self.state != Phase.PENDING.value:
            return None
        return min((m.due for m in self.members if m.due is not None), default=None)

    @property
    def withheld_by(self) -> list[str]:
        """Give the silences and mutes that keep it from opening."""
        by = (m.withheld_by for m in self.members if self.state == WITHHELD)
        return list(dict.fromkeys(name for name in by if name is not None))

    @property
    def excused_by(self) -> list[str]:
        """Give the keys of the incidents that explain it; none if it is its rule's ``unless``."""
        by = (m.excused_by for m in self.members if self.state == Phase.EXCUSED.value)
        return list(dict.fromkeys(name[1] for name in by if name is not None))


def shown_incidents(
    members: Iterable[Member], opened: Iterable[OpenIncident]
) -> list[ShownIncident]:
    """Put what is kept together by incident: what is open first, each kind oldest first."""
    of_incident: dict[IncidentName, list[Member]] = {one.name: [] for one in opened}
    opened_by_name = {one.name: one for one in opened}
    for member in members:
        of_incident.setdefault(member.incident, []).append(member)
    shown = []
    for name, all_of_it in of_incident.items():
        one = opened_by_name.get(name)
        states = {_state_of(member) for member in all_of_it}
        if one is not None:
            is_clearing = Phase.CLEARING.value in states and Phase.OPEN.value not in states
            state = Phase.CLEARING.value if is_clearing else Phase.OPEN.value
            counting = [member for member in all_of_it if member.phase.is_counted]
        else:
            state = min(states, key=_STATES.index)
            counting = [member for member in all_of_it if _state_of(member) == state]
        shown.append(ShownIncident(name, state, counting, one))
    return sorted(shown, key=lambda s: (_STATES.index(s.state), s.since, s.name))


def _state_of(member: Member) -> str:
    if member.phase is Phase.PENDING and member.withheld_by is not None:
        return WITHHELD
    return member.phase.value


@incidents.command("list")
@store_options
@click.option("--json", "as_json", is_flag=True, help="An object a line.")
def list_(config: str | None, store: str | None, *, as_json: bool) -> None:
    """List what is open, since when and who was told, and what may open."""
    path = find_store(config, store)
    try:
        with open_to_read(path) as reader:
            members = _decoded(decode_member, reader.records(MEMBER))
            opened = _decoded(decode_open, reader.records(OPEN))
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))
    shown = shown_incidents(members, opened)
    if as_json:
        for one in shown:
            click.echo(json.dumps(_object(one)))
        return
    now = time.time()
    for line in table(_HEAD, [_cells(one, now) for one in shown]) if shown else [_NOTHING]:
        click.echo(line)
    try:
        ask(socket_path(path), AskStatus())
    except NotRunningError:
        click.echo(f"no watcher runs with the store {visible(path)}: so it was last", err=True)
    except NobodyAnswersError as problem:
        click.echo(visible(str(problem)), err=True)


def _decoded(decode: Callable[[bytes], _Kept], records: Iterable[bytes]) -> list[_Kept]:
    found = []
    for record in records:
        try:
            found.append(decode(record))
        except msgspec.MsgspecError:  # the watcher will count it, and forget it
            continue
    return found


def _cells(one: ShownIncident, now: float) -> list[str]:
    return [
        age(now - one.since),
        one.state,
        visible(one.name[0]),
        visible(one.key),
        visible(", ".join(_told(one))) or "-",
        visible(_what(one, now)),
    ]


def _told(one: ShownIncident) -> list[str]:
    """Give who was told, and of whom was told of several at once under which key."""
    if one.opened is None:
        return []
    grouped = one.opened.grouped
    return [f"{n} (in {grouped[n]!r})" if n in grouped else n for n in one.opened.told]


def _what(one: ShownIncident, now: float) -> str:
    """Say what it is about, and what will come of it."""
    names = list(dict.fromkeys(map(_name_of, one.members)))
    about = list_names(names)
    if len(names) > 1:
        about = f"{counted(len(names), 'member')}: {about}"
    elif one.opened is not None and one.opened.about:
        about = one.opened.about
    until = ""
    match one.state:
        case Phase.PENDING.value:
            due = one.opens_at
            until = "opens once it is certain"
            if due is not None:
                until = f"opens in {age(due - now)}" if due > now else "about to open"
        case "withheld":
            due = min((m.due for m in one.members if m.due is not None), default=None)
            until = f"withheld by {', '.join(one.withheld_by)}"
            until += f" until {moment(due)}" if due is not None else ""
        case Phase.EXCUSED.value:
            until = f"excused by {', '.join(one.excused_by) or 'its unless'}"
        case Phase.CLEARING.value:
            until = "over; about to close"
        case Phase.DISMISSED.value:
            until = "closed by hand, and not over yet"
        case _:
            pass
    return "; ".join(filter(None, (about, until)))


def _name_of(member: Member) -> str:
    _, type_, uuid = member.name[1]
    name, _ = _named(member)
    return f"{type_} {name or uuid}".strip()


def _named(member: Member) -> tuple[str | None, str | None]:
    """Give name and resource_uri of what is in an incident.

    What was counted for it is one of its parts: that names it, but does not know its name.
    """
    told = member.change.after
    if told.key == member.name[1]:
        return told.name, told.uri
    uris = (uri for uri in told.parents or () if parse_resource_uri(uri) == member.name[1][1:])
    return None, next(uris, None)


def _object(one: ShownIncident) -> dict[str, object]:
    return {
        "state": one.state,
        "rule": one.name[0],
        "key": one.key,
        "since": one.since,
        "about": one.opened.about if one.opened is not None else None,
        "told": list(one.opened.told) if one.opened is not None else [],
        "grouped": dict(one.opened.grouped) if one.opened is not None else {},
        "opens_at": one.opens_at,
        "withheld_by": one.withheld_by,
        "excused_by": one.excused_by,
        "members": [
            {
                "stream": member.stream,
                "type": member.name[1][1],
                "name": _named(member)[0],
                "resource_uri": _named(member)[1],
                "since": member.since,
                "state": _state_of(member),
            }
            for member in one.members
        ],
    }


@incidents.command()
@store_options
@click.argument("key")
def resolve(config: str | None, store: str | None, key: str) -> None:
    """Close what is open under KEY, as `list` shows it, and tell whoever was told of it.

    It stays closed until what was wrong was well once.
    """
    if not 0 < len(key) <= KEY_MAX_CHARS:
        raise click.UsageError(f"KEY: it has 1 to {KEY_MAX_CHARS} characters")
    path = find_store(config, store)
    reply = ask_watcher(path, AskResolve(key))
    for fate in reply.named_fates:
        click.echo(f"{visible(fate.name)} {visible(fate.became)}")
    if not reply.named_fates or not all(fate.done for fate in reply.named_fates):
        sys.exit(1)
