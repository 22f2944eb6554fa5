"""``tutumwatch status``: how the running watcher is; what its store owes if none runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

import click
import msgspec

from tutumwatch.cli.finding import fail, find_store, store_options
from tutumwatch.cli.terminal import counted, listed, visible
from tutumwatch.control.client import NobodyAnswersError, NotRunningError, ask
from tutumwatch.control.wire import AskStatus, socket_path
from tutumwatch.outbox.sqlite.reading import UnreadableStoreError, open_to_read
from tutumwatch.status.health import RELOAD_FAILED, Health

_COUNTS = {
    "events": "events",
    "rejected": "rejected",
    "delivered": "delivered",
    "dead_letters": "given up",
    "withdrawn": "withdrawn",
    "possible_repeats": "possible repeats",
    "digested": "told in a digest",
    "dropped": "dropped",
    "revived": "sent again",
}
_ALWAYS_COUNTED = {"events", "delivered"}
_OTHER_VERSION = "the watcher does not say how it is; it is of another version: start it again"


@click.command()
@store_options
@click.option("--json", "as_json", is_flag=True, help="As one object.")
def status(config: str | None, store: str | None, *, as_json: bool) -> None:
    """Say how the running watcher is; end with 1 if it is not well or does not run."""
    path = find_store(config, store)
    try:
        reply = ask(socket_path(path), AskStatus())
    except NotRunningError:
        _say_not_running(path, as_json=as_json)
        sys.exit(1)
    except NobodyAnswersError as problem:
        fail(visible(str(problem)))
    if reply.status is None:
        fail(visible(reply.error) or _OTHER_VERSION)
    try:
        health = msgspec.convert(reply.status, Health)
    except msgspec.ValidationError:
        fail(_OTHER_VERSION)
    if as_json:
        click.echo(json.dumps({"running": True, **reply.status}))
    else:
        for line in _description(health, _dead_counts(path)):
            click.echo(line)
    sys.exit(0 if health.ok else 1)


def _say_not_running(path: str, *, as_json: bool) -> None:
    try:
        with open_to_read(path) as reader:
            owed, dead = dict(reader.owed_counts()), dict(reader.dead_counts())
    except UnreadableStoreError as problem:
        if as_json:
            click.echo(json.dumps({"running": False, "store": str(problem)}))
        else:
            click.echo(f"no watcher runs, and {visible(str(problem))}")
        return
    if as_json:
        click.echo(json.dumps({"running": False, "owed": owed, "dead_letters": dead}))
        return
    click.echo(f"no watcher runs with the store {visible(path)}")
    click.echo(f"owed: {listed(owed.items()) or 'nothing'}")
    click.echo(f"dead letters: {listed(dead.items()) or 'none'}")


def _dead_counts(path: str) -> Mapping[str, int]:
    """Count the dead letters that are kept; what a person only wants to see may be missing."""
    try:
        with open_to_read(path) as reader:
            return dict(reader.dead_counts())
    except UnreadableStoreError:
        return {}


def _description(health: Health, dead: Mapping[str, int]) -> Iterator[str]:
    """Say it in lines."""
    yield f"tutumwatch {health.version}: {'running' if health.ok else 'stuck'}"
    yield from (f"  {visible(problem)}" for problem in health.problems)
    for name, stream in health.streams.items():
        yield visible(f"stream {name}: {stream['state']}{_because(stream['reason'])}")
    for name, notifier in health.notifiers.items():
        state = f"{notifier['state']}{_because(notifier['reason'])}"
        yield visible(f"notifier {name}: {state}; {notifier['waiting']} waiting")
    aside = counted(health.moved_aside_count, "damaged file")
    moved = f"; {aside} moved aside: see the log" if health.moved_aside_count else ""
    yield visible(f"store: {health.store}{moved}")
    if health.reload.get("state") == RELOAD_FAILED:
        yield visible(f"the last reload failed: {health.reload['reason']}")
    yield from (visible(f"open incident: {name}") for name in health.open_incidents)
    if dead:
        yield f"dead letters: {listed(dead.items())} (`tutumwatch outbox list` has them)"
    yield "since the start: " + ", ".join(
        f"{health.counts.get(name, 0)} {what}"
        for name, what in _COUNTS.items()
        if name in health.counts or name in _ALWAYS_COUNTED
    )


def _because(reason: object) -> str:
    return f" ({reason})" if reason else ""
