"""``tutumwatch silence``: say nothing for a while of what somebody is working on."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
import msgspec

from tutumwatch.cli.finding import ask_watcher, fail, find_store, load, store_options
from tutumwatch.cli.matching import length_of, match_of, moment_of, words_of
from tutumwatch.cli.terminal import age, counted, first_line, listed, moment, table, visible
from tutumwatch.config.store import STORE_VARIABLE
from tutumwatch.control.client import NobodyAnswersError, NotRunningError, ask
from tutumwatch.control.silencing import known_mute, known_silence
from tutumwatch.control.wire import (
    REMARK_MAX_CHARS,
    AskSilence,
    AskSilences,
    AskUnsilence,
    KnownSilence,
    Reach,
    socket_path,
)
from tutumwatch.events.inputs import Silence
from tutumwatch.outbox.sqlite.reading import UnreadableStoreError, open_to_read
from tutumwatch.rules.silences import SILENCE

_HEAD = ("name", "kind", "state", "from", "until", "incidents", "by", "about")
# A backspace has click leave the lines below it as they are.
_ADD_HELP = """\
Say nothing of what matches all WORDS.

A word is key=value: a field as rules match it, a type for the name of what belongs to it, or "rule"
for the name of a rule; * and ? are globs, and key=!value is any other. Of one key that is given
twice either value will do.

\b
  tutumwatch silence add --for 2h service=web stack=shop
  tutumwatch silence add --until 2026-11-27T06:00 rule='crash loop' node='node-*'
"""

_Value = TypeVar("_Value")
_json = click.option("--json", "as_json", is_flag=True, help="An object a line.")


@click.group()
def silence() -> None:
    """Withhold for a while what would be said; list and end that.

    What is still broken when a silence ends is told then.
    """


@silence.command(help=_ADD_HELP)
@store_options
@click.option("--for", "length", metavar="LENGTH", help='For how long: "2h", "1h30m".')
@click.option("--until", metavar="TIME", help="Until 2026-11-27T10:00[Europe/Berlin], or UTC.")
@click.option("--from", "begin", metavar="TIME", help="From then on; without it from now on.")
@click.option("--comment", default="", metavar="TEXT", help="Why; shown by list.")
@click.option("--by", metavar="NAME", help="Who wants it.  [default: your user name]")
@click.option("--preview", is_flag=True, help="Only show what it would have withheld of late.")
@click.argument("words", nargs=-1)
def add(
    config: str | None,
    store: str | None,
    length: str | None,
    until: str | None,
    begin: str | None,
    comment: str,
    by: str | None,
    words: tuple[str, ...],
    *,
    preview: bool,
) -> None:
    """Make a silence, or show what it would mean."""
    match = _read("WORDS", match_of, words)
    if not match:
        raise click.UsageError("what is to be silenced? service=web, say, or rule='crash loop'")
    if length is None and until is None and preview:
        length = "1h"
    if (length is None) is (until is None):
        raise click.UsageError("for how long? either --for 2h, or --until 2026-11-27T10:00")
    for option, remark in (("--comment", comment), ("--by", by or "")):
        if len(remark) > REMARK_MAX_CHARS:
            raise click.UsageError(f"{option}: {REMARK_MAX_CHARS} characters must do")
    question = AskSilence(
        (match,),
        starts=None
        if begin is None
        else _read("--from", lambda t: moment_of(t, last=False), begin),
        ends=None if until is None else _read("--until", lambda t: moment_of(t, last=True), until),
        lasts=None if length is None else _read("--for", length_of, length),
        comment=comment,
        by=_user() if by is None else by,
        preview=preview,
    )
    reply = ask_watcher(find_store(config, store), question)
    if reply.silence is None or reply.reach is None:
        fail("the watcher does not know silences; it is of another version: start it again")
    for line in _made(reply.silence, reply.reach, is_preview=preview):
        click.echo(line)


def _read(what: str, read: Callable[[Any], _Value], given: object) -> _Value:
    """Read what was given, or say what is wrong with it and end."""
    try:
        return read(given)
    except ValueError as problem:
        raise click.UsageError(f"{what}: {visible(str(problem))}") from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return ""


def _made(made: KnownSilence, reach: Reach, *, is_preview: bool) -> Iterator[str]:
    """Say what was made, or would be, and what it means."""
    about = visible(words_of(made.match))
    if is_preview:
        yield f"this would silence {about}"
    else:
        begins = f" from {moment(made.starts)}" if made.state == "pending" else ""
        yield f"silence {visible(made.name)}{begins} until {moment(made.ends)}: {about}"
    if reach.names is not None:
        more = ", ..." if reach.matching_count > len(reach.names) else ""
        named = f": {', '.join(map(visible, reach.names))}{more}" if reach.names else ""
        yield f"it is about {counted(reach.matching_count, 'resource')} at present{named}"
    yield from _withheld(reach, is_preview=is_preview)
    yield from (f"warning: {visible(warning)}" for warning in reach.warnings)


def _withheld(reach: Reach, *, is_preview: bool) -> Iterator[str]:
    count = sum(reach.by_rule.values())
    by_rule = f" ({listed(reach.by_rule.items())})" if count else ""
    unsure = f", and of {reach.unsure_count} more nobody can tell" if reach.unsure_count else ""
    yield (
        f"since {moment(reach.since)} it would have withheld {count} of {reach.said_count} "
        f"that were said{by_rule}{unsure}"
    )
    if is_preview and reach.withheld:
        now = time.time()
        yield from table(
            ("ago", "rule", "to", "text"),
            [
                (
                    age(now - w.at),
                    visible(w.rule),
                    visible(", ".join(w.notifiers)),
                    first_line(w.text),
                )
                for w in reach.withheld
            ],
        )


@silence.command()
@store_options
@click.argument("names", metavar="NAMES", nargs=-1, required=True)
def rm(config: str | None, store: str | None, names: tuple[str, ...]) -> None:
    """End silences: those with these NAMES. What they withheld and is still so is told now."""
    reply = ask_watcher(find_store(config, store), AskUnsilence(names))
    for fate in reply.named_fates:
        click.echo(f"{visible(fate.name)} {visible(fate.became)}")
    if not reply.named_fates or not all(fate.done for fate in reply.named_fates):
        sys.exit(1)


@silence.command("list")
@store_options
@_json
def list_(config: str | None, store: str | None, *, as_json: bool) -> None:
    """List silences, also those that ended within a day, and the mutes of the configuration."""
    path = find_store(config, store)
    known: Sequence[KnownSilence]
    try:
        reply = ask(socket_path(path), AskSilences())
    except NotRunningError:
        known, is_running = _kept(path, config, store), False
    except NobodyAnswersError as problem:
        fail(visible(str(problem)))
    else:
        if reply.error:
            fail(visible(reply.error))
        known, is_running = reply.silences, True
    if as_json:
        for one in known:
            click.echo(json.dumps(_object(one, is_running=is_running)))
        return
    if known:
        for line in table(_HEAD, [_cells(one, is_running=is_running) for one in known]):
            click.echo(line)
    else:
        click.echo("no silences and no mutes")
    if not is_running:
        click.echo(f"no watcher runs with the store {visible(path)}", err=True)


def _kept(path: str, config: str | None, store: str | None) -> list[KnownSilence]:
    """Read the silences from the store, and the mutes from a configuration if one is named."""
    now = time.time()
    try:
        with open_to_read(path) as reader:
            silences = [one for r in reader.records(SILENCE) if (one := _decoded(r)) is not None]
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))
    known = [known_silence(one, now) for one in sorted(silences, key=lambda one: one.at)]
    if store is None and (config is not None or not os.environ.get(STORE_VARIABLE)):
        known += [known_mute(mute, mute.window.span(now), now) for mute in load(config).rules.mutes]
    return known


def _decoded(record: bytes) -> Silence | None:
    try:
        return msgspec.msgpack.decode(record, type=Silence)
    except msgspec.MsgspecError:  # the watcher will count it, and forget it
        return None


def _cells(one: KnownSilence, *, is_running: bool) -> list[str]:
    comment = f"  # {visible(one.comment)}" if one.comment else ""
    return [
        visible(one.name),
        "mute" if one.is_mute else "silence",
        visible(one.state),
        moment(one.starts),
        moment(one.ends),
        str(one.withheld_count) if is_running else "?",
        visible(one.by) or "-",
        f"{visible(words_of(one.match))}{comment}",
    ]


def _object(one: KnownSilence, *, is_running: bool) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": "mute" if one.is_mute else "silence",
        "state": one.state,
        "starts": one.starts,
        "ends": one.ends,
        "withheld_incidents": one.withheld_count if is_running else None,
        "by": one.by,
        "comment": one.comment,
        "match": one.match,
    }
