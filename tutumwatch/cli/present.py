"""What the rules of a configuration make of what there is at present: ``check --against-now``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tutumwatch.cli.finding import fail
from tutumwatch.cli.terminal import age, left_table, visible
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import Looked
from tutumwatch.inventory.survey import list_names
from tutumwatch.outbox.sqlite.reading import UnreadableStoreError, open_to_read
from tutumwatch.rehearsal.asking import list_once
from tutumwatch.rehearsal.situation import (
    Matching,
    decider_of,
    decider_of_lists,
    matchings,
    present_name,
)
from tutumwatch.resources.catchup import NoListsError
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import Member

_HEAD = ("rule", "matches", "open", "what")


def say_now(configuration: Configuration, store: str | None) -> None:
    """Say which resources each rule matches at present, and what would open.

    :param store: the path of a store, if one was named; else that of the configuration is read,
        and if there is none, the platform is asked.
    """
    now = time.time()
    path = store or configuration.store_path
    if store is not None or Path(path).is_file():
        decider = _decider_of_store(configuration, path, now)
        click.echo(f"at present, as the store {visible(path)} knows it:")
    else:
        decider = decider_of_lists(configuration, _listed(configuration), now)
        click.echo("at present, as the platform says (there is no store yet):")
    rows = [_cells(decider, one, now) for one in matchings(decider)]
    for line in left_table(_HEAD, rows) if rows else ["there is no rule"]:
        click.echo(line)


def _decider_of_store(configuration: Configuration, path: str, now: float) -> Decider:
    try:
        with open_to_read(path) as reader:
            restored = reader.restored()
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))
    return decider_of(configuration, restored, now)


def _listed(configuration: Configuration) -> Sequence[tuple[str, Sequence[Looked]]]:
    """Ask every platform once what it has, or say why it does not tell and end."""
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    from tutumwatch.dialling import Webs
    from tutumwatch.resources.client import ResourceClient

    found: list[tuple[str, Sequence[Looked]]] = []
    problems: list[str] = []

    async def work(reactor: Any) -> None:  # noqa: ANN401 - a whole reactor
        """Ask one after the other."""
        webs = Webs(reactor, time.time)
        for plan in configuration.streams:
            web = webs.get(plan.settings.ca_file, plan.trust)
            client = ResourceClient(web, plan.rest, plan.credentials.headers())
            try:
                found.append((plan.name, await list_once(plan.name, client, time.time)))
            except NoListsError as problem:
                problems.append(f"{plan.name}: cannot list what there is: {problem}")
        await webs.close()

    try:
        react(lambda reactor: Deferred.fromCoroutine(work(reactor)))
    except SystemExit as ended:  # react ends the process, whatever became of it
        if ended.code:
            raise
    if problems:
        fail("\n".join(map(visible, problems)))
    return found


def _cells(decider: Decider, one: Matching, now: float) -> tuple[str, str, str, str]:
    unsure = f" + {one.unsure_count}?" if one.unsure_count else ""
    opened = str(len(one.opened)) if isinstance(one.rule, IncidentRule) else "-"
    return visible(one.rule.name), f"{len(one.names)}{unsure}", opened, _what(decider, one, now)


def _what(decider: Decider, one: Matching, now: float) -> str:
    """Say what would open, or what is matched."""
    if not isinstance(one.rule, IncidentRule):
        return visible(f"may speak of {list_names(list(one.names))}") if one.names else ""
    parts = [f"{present_name(decider, m)} {_when(one.rule, m, now)}" for m in one.coming]
    parts += [f"{present_name(decider, m)} is excused" for m in one.excused]
    if not parts and one.opened:
        parts = [f"{list_names([present_name(decider, m) for m in one.opened])} is open"]
    return visible(list_names(parts))


def _when(rule: IncidentRule, member: Member, now: float) -> str:
    if member.withheld_by is not None:
        return f"is withheld by {member.withheld_by}"
    due = member.since + rule.for_seconds
    return f"would open in {age(due - now)}" if due > now else "would open at once"
