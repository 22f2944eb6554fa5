"""``tutumwatch explain``: what each rule makes of an event, and why; nothing is asked or sent."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
import msgspec

from tutumwatch.cli.finding import fail, load, store_options
from tutumwatch.cli.terminal import moment, visible, visible_lines
from tutumwatch.config.plans import Configuration
from tutumwatch.inventory.survey import in_words
from tutumwatch.outbox.sqlite.reading import UnreadableStoreError, open_to_read
from tutumwatch.outbox.store import Restored
from tutumwatch.rehearsal.explaining import Explained, explain
from tutumwatch.rehearsal.recalling import decider_before, recall
from tutumwatch.rehearsal.situation import decider_of
from tutumwatch.rehearsal.trying import Trial, Trying
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.summary import summary_of
from tutumwatch.rules.view import View
from tutumwatch.rules.vocabulary import suggestion

_HELP = """\
Say what each rule makes of EVENT, and why, with the texts as they would go out.

EVENT is the JSON of an event, a file with one or with many, each on a line of its own, "-" for
standard input, or the uuid or number of one that the watcher has taken: that is read from its
journal. A line may say when it comes: "at", in seconds, or "date", as the stream has it.

What the store of the watcher knows is known here, too; nothing is asked, sent or changed.
"""
# A month.
SECONDS_MAX = 31 * 86_400


@attrs.frozen
class _Given:
    """An event as it was given, and when it comes: in seconds since 1970."""

    at: float
    payload: bytes


@click.command("explain", help=_HELP)
@store_options
@click.option("--stream", metavar="NAME", help="From which stream it comes.  [default: the first]")
@click.argument("event")
def explain_event(config: str | None, store: str | None, stream: str | None, event: str) -> None:
    """Explain."""
    configuration = load(config)
    stream = _stream(configuration, stream)
    text = _text_of(event)
    if text is None:
        _explain_kept(configuration, store, event)
        return
    lines = _lines(text, time.time())
    if not lines:
        fail(f"{visible(event)}: there is no event in it; write one a line, as JSON")
    restored = _restored(configuration, store)
    begin = lines[0].at
    trying = Trying(decider_of(configuration, restored, begin), begin, restored.last_number)
    trying.begin()
    for line in lines:
        for at, notice in trying.go_on(line.at):
            click.echo(f"after {in_words(at - begin)}, meanwhile: {_notice(notice)}")
        after = f"after {in_words(line.at - begin)}, " if len(lines) > 1 else ""
        _say(trying, trying.take(stream, line.payload), after)


def _stream(configuration: Configuration, name: str | None) -> str:
    names = [plan.name for plan in configuration.streams]
    if name is None:
        return names[0]
    if name not in names:
        near = suggestion(name, names) or f"; there are: {', '.join(names)}"
        raise click.UsageError(f"--stream: there is no stream {visible(name)!r}{near}")
    return name


# -- what is given


def _text_of(event: str) -> str | None:
    """Give the text of what is named; None if it is the name of an event in the store."""
    if event.lstrip().startswith("{"):
        return event
    try:
        if event == "-":
            return sys.stdin.read()
        path = Path(event)
        return path.read_text("utf-8") if path.exists() else None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8"
        fail(f"{visible(event)} cannot be read: {reason}")


def _lines(text: str, now: float) -> list[_Given]:
    """Read an event, or one a line, and when each comes; say what is wrong, and end."""
    try:
        only = _event(text)
    except ValueError:
        return _many(text, now)
    # When it happened does not matter: it is explained as if it came now.
    return [_Given(now + (_seconds(only) or 0.0), text.encode())]


def _many(text: str, now: float) -> list[_Given]:
    """Read an event a line; one that does not say when it comes, comes with the one before it."""
    found: list[_Given] = []
    begin: float | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            raw = _event(line)
            seconds, date = _seconds(raw), _date(raw)
        except ValueError as problem:
            fail(f"line {number}: {visible(str(problem))}")
        if begin is None:
            begin = now if seconds is not None or date is None else date
        last = found[-1].at if found else begin
        at = begin + seconds if seconds is not None else date
        found.append(_Given(last if at is None else max(last, at), line.encode()))
    return found


def _event(text: str) -> Mapping[str, Any]:
    """Read the JSON of an event.

    :raises ValueError: if it is none.
    """
    try:
        raw: dict[str, Any] = msgspec.json.decode(text, type=dict)
    except (msgspec.MsgspecError, RecursionError) as problem:
        message = f'expected an event such as {{"type": "service", "state": "Running"}}: {problem}'
        raise ValueError(message) from problem
    return raw


def _seconds(raw: Mapping[str, Any]) -> float | None:
    at = raw.get("at")
    if at is None:
        return None
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= SECONDS_MAX:
        raise ValueError(f'"at" is in seconds from the start, 0 to {SECONDS_MAX}, got {at!r}')
    return float(at)


def _date(raw: Mapping[str, Any]) -> float | None:
    date = raw.get("date")
    if date is None:
        return None
    try:
        told = datetime.fromisoformat(date)
    except (TypeError, ValueError):
        raise ValueError(f'"date" is no date such as 2015-12-07T04:01:01+00:00: {date!r}') from None
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()


# -- what the store knows


def _restored(configuration: Configuration, store: str | None) -> Restored:
    """Read the store, if there is one."""
    path = store or configuration.store_path
    if store is None and not Path(path).is_file():
        return Restored()
    try:
        with open_to_read(path) as reader:
            return reader.restored()
    except UnreadableStoreError as problem:
        fail(visible(str(problem)))


def _explain_kept(configuration: Configuration, store: str | None, wanted: str) -> None:
    """Explain an event that the journal has."""
    path = store or configuration.store_path
    try:
        with open_to_read(path) as reader:
            found = recall(reader.inputs(), wanted)
            restored = reader.restored()
    except UnreadableStoreError as problem:
        fail(f"{visible(wanted)!r} is no file and no JSON; and {visible(str(problem))}")
    if found is None:
        fail(f"{visible(wanted)!r} is no file, no JSON, and no event in the journal of {path}")
    message = found.message
    decider = decider_before(configuration, restored, found)
    trying = Trying(decider, message.at, message.number - 1)
    trying.begin()
    click.echo(f"event {message.number}, which came at {moment(message.at)}")
    _say(trying, trying.take(message.stream, message.payload))


# -- what is said


def _say(trying: Trying, trial: Trial, after: str = "") -> None:
    """Say what became of an event, and what each rule makes of it."""
    if trial.change is None:
        click.echo(f"{after}not taken: {visible(trial.refused)}")
        return
    view = View(trying.decider.inventory, trial.change)
    kind, action = trial.change.kind.value, trial.change.action or "no action"
    click.echo(visible(f"{after}{trial.change.after.type}: {summary_of(view)} ({action}, {kind})"))
    explained = list(explain(trying.decider, trial))
    width = max((len(visible(one.rule)) for one in explained), default=0)
    for one in explained:
        for line in _description(one, width):
            click.echo(line)
    named = {one.rule for one in explained if one.texts}
    for notice in trial.said:
        if notice.rule not in named:
            click.echo(f"  {'':{width}}  and: {_notice(notice)}")


def _description(one: Explained, width: int) -> Iterator[str]:
    because = f": {visible('; '.join(one.reasons))}" if one.reasons else ""
    yield f"  {visible(one.rule):{width}}  {visible(one.verdict)}{because}"
    for told, text in one.texts:
        first, *others = visible_lines(text)
        yield f"  {'':{width}}  -> {visible(told)}: {first}"
        yield from (f"  {'':{width}}     {line}" for line in others)


def _notice(notice: Notice) -> str:
    text = " / ".join(visible_lines(notice.text))
    return visible(f"{notice.rule}: {notice.form.value} to {notice.notifier}: {text}")
