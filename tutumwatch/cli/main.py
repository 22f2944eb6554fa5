"""The ``tutumwatch`` command and its subcommands."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

from tutumwatch import __version__
from tutumwatch.cli.check import check
from tutumwatch.cli.explain import explain_event
from tutumwatch.cli.finding import CONFIG_OPTION, load
from tutumwatch.cli.incidents import incidents
from tutumwatch.cli.outbox import outbox
from tutumwatch.cli.silence import silence
from tutumwatch.cli.status import status
from tutumwatch.config.plans import Configuration
from tutumwatch.rules.vocabulary import suggestion


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tutumwatch")
def cli() -> None:
    """Watch the platform that runs your containers and tell people what they need to know."""


cli.add_command(check)
cli.add_command(explain_event)
cli.add_command(incidents)
cli.add_command(outbox)
cli.add_command(silence)
cli.add_command(status)


@cli.command()
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Log JSON, an object a line.")
@click.option("--demo", is_flag=True, help="Watch a simulated cloud, on this machine alone.")
@click.option("--seed", type=int, help="Which simulated cloud.  [default: 1]")
@click.option("--rate", type=float, help="Its events a second, 0 to 10000.  [default: 2]")
def run(
    config: str | None, *, as_json: bool, demo: bool, seed: int | None, rate: float | None
) -> None:
    """Watch, in the foreground and without a pid file, until stopped by SIGTERM or SIGINT."""
    from twisted.python.usage import UsageError
    from twisted.scripts.twistd import (  # type: ignore[attr-defined]  # it takes them from its platform's module
        ServerOptions,
        runApp,
    )

    observer = "json_observer" if as_json else "text_observer"
    arguments = ["-n", "--pidfile=", f"--logger=tutumwatch.logs.{observer}", "tutumwatch"]
    arguments += [] if config is None else ["--config", config]
    arguments += ["--demo"] if demo else []
    arguments += [f"--{n}={v}" for n, v in (("seed", seed), ("rate", rate)) if v is not None]
    options = ServerOptions()
    try:
        options.parseOptions(arguments)
    except UsageError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    runApp(options)  # pragma: no cover - it ends by a signal, watched from outside


@cli.command("send-test")
@CONFIG_OPTION
@click.argument("name", required=False)
def send_test(config: str | None, name: str | None) -> None:
    """Send one harmless message through each notifier that is on, or to NAME alone.

    Says whether it was delivered, how long it took, and what the destination answered. PagerDuty
    gets a trigger and, at once, its resolve. Ends with 1 if anything was not delivered.
    """
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react
    from twisted.logger import ILogObserver, LogEvent, globalLogBeginner

    from tutumwatch.cli.send_test import send_test as send
    from tutumwatch.logs import text_observer

    configuration = load(config)
    plans = [plan for plan in configuration.notifiers if name in {None, plan.name}]
    if not plans:
        click.echo(_why_nobody(configuration, name), err=True)
        sys.exit(1)
    observer = text_observer()

    def only_ours(event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith("tutumwatch"):
            observer(event)

    # A plain function is an observer too; Twisted's types say otherwise.
    globalLogBeginner.beginLoggingTo([cast("ILogObserver", only_ours)], redirectStandardIO=False)

    async def work(reactor: Any) -> None:  # noqa: ANN401 - a whole reactor
        """Send, and end with 1 if anything was not delivered."""
        if not await send(plans, reactor, click.echo):
            raise SystemExit(1)

    react(lambda reactor: Deferred.fromCoroutine(work(reactor)))


def _why_nobody(configuration: Configuration, name: str | None) -> str:
    """Say what is on and why the others are off, to one who named what is not on."""
    on = [plan.name for plan in configuration.notifiers]
    off = "".join(f"; off: {n} ({why})" for n, why in configuration.off.items())
    if name is None:
        return f"no notifier is on{off}"
    hint = "" if name in configuration.off else suggestion(name, [*on, *configuration.off])
    return f"no notifier {name!r} is on{hint}; on: {', '.join(on) or 'none'}{off}"
