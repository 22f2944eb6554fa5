"""``tutumwatch check``: reads a configuration, performs its tests, and says what it would do."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from tutumwatch.cli.finding import CONFIG_OPTION, load
from tutumwatch.cli.matching import match_of
from tutumwatch.cli.present import say_now
from tutumwatch.cli.terminal import counted, left_table, visible
from tutumwatch.config.plans import Configuration
from tutumwatch.rehearsal.comparing import compare
from tutumwatch.rehearsal.performing import perform
from tutumwatch.rehearsal.supposing import Told, suppose, who_is_told

_ROUTES_HEAD = ("rule", "notify", "told")


@click.command()
@CONFIG_OPTION
@click.option("--routes", is_flag=True, help="Say who is told of what WORDS describe.")
@click.option("--against-now", is_flag=True, help="Say what the rules match at present.")
@click.option("--store", metavar="PATH", help="For --against-now: the store to read.")
@click.argument("words", nargs=-1)
def check(
    config: str | None,
    store: str | None,
    words: tuple[str, ...],
    *,
    routes: bool,
    against_now: bool,
) -> None:
    """Read a configuration, name every mistake in it, a line each, and perform its tests.

    --routes says for each rule who is told of something that WORDS describe, such as stack=shop
    service=web. --against-now says which of the resources that there are each rule matches, and
    what would open; it reads the store of the watcher, or asks the platform if there is none.
    """
    if words and not routes:
        raise click.UsageError("WORDS are for --routes, such as --routes stack=shop service=web")
    if routes and not words:
        raise click.UsageError("who is told of what? --routes stack=shop service=web, say")
    configuration = load(config)
    click.echo(_summary(configuration))
    for remark in configuration.remarks():
        click.echo(remark)
    failed_count = _perform(configuration)
    if routes:
        _say_routes(configuration, words)
    if against_now:
        say_now(configuration, store)
    if failed_count:
        sys.exit(1)


def _summary(configuration: Configuration) -> str:
    counts = ", ".join(
        f"{what}: {len(things)}"
        for what, things in (
            ("watched streams", configuration.streams),
            ("notifiers on", configuration.notifiers),
            ("message rules", configuration.rules.messages),
            ("incident rules", configuration.rules.incidents),
        )
    )
    return f"{configuration.source}: no mistakes ({counts})"


def _perform(configuration: Configuration) -> int:
    """Perform the tests, and say which failed and how; give how many."""
    if configuration.rehearsed is None:
        return 0
    failed_count = 0
    for rehearsal in configuration.rehearsals:
        lines = compare(rehearsal, perform(rehearsal, configuration.rehearsed))
        if lines:
            failed_count += 1
            line = "" if rehearsal.line is None else f":{rehearsal.line}"
            click.echo(f"{configuration.source}{line}: " + "\n".join(lines), err=True)
    count = len(configuration.rehearsals)
    if failed_count:
        click.echo(f"{failed_count} of {counted(count, 'test')} failed", err=True)
    else:
        click.echo(f"{counted(count, 'test')}: all as expected")
    return failed_count


def _say_routes(configuration: Configuration, words: Sequence[str]) -> None:
    try:
        view = suppose(match_of(words))
    except ValueError as problem:
        raise click.UsageError(f"WORDS: {visible(str(problem))}") from None
    rules = configuration.rules
    if (ignored := rules.ignores.explain(view)) is not None:
        click.echo(visible(ignored))
    told = list(who_is_told(rules, view))
    for line in left_table(_ROUTES_HEAD, map(_cells, told)) if told else []:
        click.echo(line)
    others_count = len(rules.names) - len({one.rule for one in told})
    if others_count:
        click.echo(f"{others_count} of {counted(len(rules.names), 'rule')} are not about it")


def _cells(told: Told) -> tuple[str, str, str]:
    names = visible(", ".join(told.notifiers)) or "nobody"
    if told.depends_on:
        names = f"{names} (depends on {', '.join(told.depends_on)})"
    return visible(told.rule), visible(told.role) or "by name", names
