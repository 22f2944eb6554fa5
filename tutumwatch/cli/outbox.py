"""``tutumwatch outbox``: what is owed and what was given up, read beside a running watcher."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import click

from tutumwatch.cli.finding import ask_watcher, fail, find_store, store_options
from tutumwatch.cli.terminal import (
    age,
    counted,
    cut,
    first_line,
    listed,
    moment,
    table,
    visible,
    visible_lines,
)
from tutumwatch.control.wire import IDS_MAX_COUNT, AskDrop, AskRetry, Fate
from tutumwatch.outbox.sqlite.reading import (
    KeptRow,
    StoreReader,
    UnreadableStoreError,
    open_to_read,
)

OWED = ("waiting", "pending", "sending")
DEAD = ("dead",)
STATES = {
    **{state: (state,) for state in (*DEAD, *OWED)},
    "owed": OWED,
    "all": (*OWED, *DEAD),
}
LIST_COUNT = 100
DAMAGED = "(what it says is damaged)"
_HEAD = ("id", "notifier", "state", "form", "age", "attempts", "rule", "text or reason")

_ids = click.argument("ids", nargs=-1, type=click.IntRange(1, 2**63 - 1))
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def outbox() -> None:
    """Show what is owed and what was given up; send it again, or drop it."""


@outbox.command("list")
@store_options
@click.option("--notifier", metavar="NAME", help="Those of this notifier alone.")
@click.option(
    "--state",
    type=click.Choice(list(STATES)),
    default="dead",
    show_default=True,
    help='"owed" is all that is not dead.',
)
@click.option(
    "--limit", type=click.IntRange(0), default=LIST_COUNT, show_default=True, help="0: all."
)
@click.option("--json", "as_json", is_flag=True, help="An object a line.")
def list_(
    config: str | None,
    store: str | None,
    notifier: str | None,
    state: str,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List notices, oldest first: those that were given up, unless --state says otherwise."""
    path = find_store(config, store)
    try:
        with open_to_read(path) as reader:
            found = reader.rows(STATES[state], notifier)
            rows = islice(found, limit or None)
            if as_json:
                for row in rows:
                    click.echo(json.dumps(_object(row)))
                return
            shown = list(rows)
            more = next(found, None) is not None
            _show_table(shown, notifier, state, reader)
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))
    if more:
        click.echo(f"there are more than {limit}; --limit 0 lists all")


def _show_table(
    rows: Sequence[KeptRow], notifier: str | None, state: str, reader: StoreReader
) -> None:
    now = time.time()
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if rows:
        for line in table(_HEAD, [_cells(row, now) for row in rows]):
            click.echo(cut(line, columns))
    elif state == "dead":
        click.echo(_none("no dead letters", notifier))
    else:
        click.echo(_none(f"nothing is {state}" if state != "all" else "nothing", notifier))
    owed = reader.owed_counts()
    if state == "dead" and owed:
        click.echo(f"owed: {listed(owed.items())} (--state owed lists them)")
    elif state == "dead":
        click.echo("owed: nothing")


def _none(what: str, notifier: str | None) -> str:
    return what if notifier is None else f"{what} for {visible(notifier)}"


def _cells(row: KeptRow, now: float) -> list[str]:
    said = first_line(row.reason) if row.reason else first_line(_text(row))
    if row.reason and row.notice is not None:
        said = f"{said} | {first_line(row.notice.text)}"
    return [
        str(row.id),
        visible(row.notifier),
        row.state,
        visible(row.form),
        age(now - row.at),
        str(row.attempts),
        visible(row.rule),
        said,
    ]


def _text(row: KeptRow) -> str:
    if row.notice is not None:
        return row.notice.text
    return DAMAGED if row.is_damaged else "(waits for a look-up)"


def _object(row: KeptRow) -> dict[str, object]:
    """Give a row as JSON has it; what is not known yet, or is damaged, is null."""
    notice = row.notice
    return {
        "id": row.id,
        "notifier": row.notifier,
        "state": row.state,
        "form": row.form,
        "rule": row.rule,
        "key": row.key,
        "at": row.at,
        "attempts": row.attempts,
        "maybe_sent": row.maybe_sent,
        "waits_for": row.waits_for,
        "reason": row.reason,
        "damaged": row.is_damaged,
        "notice": None if notice is None else notice.id,
        "text": None if notice is None else notice.text,
        "severity": None if notice is None else notice.severity.value,
        "marks": None if notice is None else list(notice.marks),
        "details": None if notice is None else dict(notice.details),
    }


@outbox.command()
@store_options
@click.option("--json", "as_json", is_flag=True, help="As one object.")
@click.argument("row_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
def show(config: str | None, store: str | None, row_id: int, *, as_json: bool) -> None:
    """Show all that there is of a notice."""
    path = find_store(config, store)
    try:
        with open_to_read(path) as reader:
            row = reader.row(row_id)
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))
    if row is None:
        fail(f"there is no notice {row_id}: it was delivered, withdrawn or dropped")
    if as_json:
        click.echo(json.dumps(_object(row)))
        return
    for line in _description(row, time.time()):
        click.echo(line)


def _description(row: KeptRow, now: float) -> Iterator[str]:
    yield f"notice    {row.id}"
    yield f"state     {row.state}"
    yield f"notifier  {visible(row.notifier)}"
    yield f"form      {visible(row.form)}"
    yield f"rule      {visible(row.rule)}"
    yield f"about     {visible(row.key)}"
    yield f"happened  {moment(row.at)} ({age(now - row.at)} ago)"
    tried = counted(row.attempts, "attempt") if row.attempts else "not tried yet"
    yield f"tried     {tried}{'; it may have arrived' if row.maybe_sent else ''}"
    if row.reason:
        yield f"reason    {visible(row.reason)}"
    if row.waits_for is not None and row.state == "waiting":
        yield f"waits for {visible(row.waits_for)}"
    if row.notice is not None:
        yield f"severity  {row.notice.severity.value}"
        if row.notice.marks:
            yield f"marks     {visible(', '.join(row.notice.marks))}"
        for number, (name, value) in enumerate(sorted(row.notice.details.items())):
            yield f"{'' if number else 'details':10}{visible(name)}: {visible(value)}"
    yield "text"
    yield from (f"    {line}" for line in visible_lines(_text(row)))


@outbox.command()
@store_options
@click.option("--all-dead", is_flag=True, help="All dead letters.")
@click.option("--notifier", metavar="NAME", help="All dead letters of this notifier.")
@_yes
@_ids
def retry(
    config: str | None,
    store: str | None,
    notifier: str | None,
    ids: tuple[int, ...],
    *,
    all_dead: bool,
    yes: bool,
) -> None:
    """Send dead letters again: those with these IDS, or many at once.

    Each takes its place at the end of its lane. One that opens or closes an incident is dropped
    instead if that is no longer so.
    """
    path = find_store(config, store)
    _require_one_way(ids, notifier, all_dead=all_dead)
    if not ids:
        ids = _confirmed(_of_many(path, DEAD, notifier), "send {} again", yes=yes)
    _do(path, ids, AskRetry)


@outbox.command()
@store_options
@click.option("--all-dead", is_flag=True, help="All dead letters; those of --notifier, if given.")
@click.option("--notifier", metavar="NAME", help="All that is owed to this one, and its dead ones.")
@_yes
@_ids
def drop(
    config: str | None,
    store: str | None,
    notifier: str | None,
    ids: tuple[int, ...],
    *,
    all_dead: bool,
    yes: bool,
) -> None:
    """Forget notices: those with these IDS, or many at once. They are not sent any more.

    What is being sent at this moment is not dropped.
    """
    path = find_store(config, store)
    _require_one_way(ids, notifier, all_dead=all_dead)
    if not ids:
        states = DEAD if all_dead else STATES["all"]
        ids = _confirmed(_of_many(path, states, notifier), "drop {}", yes=yes)
    _do(path, ids, AskDrop)


def _require_one_way(ids: tuple[int, ...], notifier: str | None, *, all_dead: bool) -> None:
    """Refuse a command that says which notices in no way, or in two."""
    are_many = all_dead or notifier is not None
    if ids and are_many:
        raise click.UsageError("either IDS, or --all-dead, or --notifier")
    if not ids and not are_many:
        raise click.UsageError("which ones? IDS, --all-dead, or --notifier NAME")


def _of_many(path: str, states: Sequence[str], notifier: str | None) -> list[KeptRow]:
    """Find what a person does not name one by one."""
    try:
        with open_to_read(path) as reader:
            return list(reader.rows(states, notifier))
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))


def _confirmed(rows: Sequence[KeptRow], what: str, *, yes: bool) -> tuple[int, ...]:
    """Give the numbers of rows, if there are any and the person really wants it; else end."""
    if not rows:
        click.echo("there are none")
        sys.exit(0)
    dead = sum(row.state == "dead" for row in rows)
    parts = [counted(dead, "dead letter")] if dead else []
    parts += [f"{counted(len(rows) - dead, 'notice')} not sent yet"] if dead < len(rows) else []
    named = ", ".join(sorted({visible(row.notifier) for row in rows}))
    question = f"{what.format(' and '.join(parts))} ({named})"
    if not yes:
        if not sys.stdin.isatty():
            fail(f"{question}: this is no terminal to ask at; --yes does it")
        if not click.confirm(f"{question}?"):
            fail("nothing is done")
    return tuple(row.id for row in rows)


def _do(path: str, ids: Sequence[int], question: type[AskRetry | AskDrop]) -> None:
    """Ask the watcher, and say what became of each; end with 1 if anything was not done."""
    fates: list[Fate] = []
    for begin in range(0, len(ids), IDS_MAX_COUNT):
        portion = tuple(ids[begin : begin + IDS_MAX_COUNT])
        reply = ask_watcher(path, question(portion))
        for fate in reply.fates:
            click.echo(f"{fate.id} {visible(fate.became)}")
        fates += reply.fates
    if not all(fate.done for fate in fates):
        sys.exit(1)
