"""``twistd tutumwatch``: reads the configuration and constructs everything; nothing else does."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, cast

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python import usage
from twisted.python.threadpool import ThreadPool

from tutumwatch.assembly import make_watch
from tutumwatch.bridge.settings import DemoSettings
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import DOCKER, TUTORIAL, load_configuration
from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration
from tutumwatch.embedded import EmbeddedDemo
from tutumwatch.monotonic import run_on_monotonic_time
from tutumwatch.outbox.sqlite.files import Lock
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.outbox.store import IN_MEMORY, StoreUnusableError
from tutumwatch.status.sdnotify import ServiceManager


class Options(usage.Options):
    """The options of ``twistd tutumwatch`` and of ``tutumwatch run``."""

    optFlags: ClassVar = [
        ["demo", None, "Watch a simulated cloud, embedded and on this machine alone."],
    ]
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file; without it only the environment counts."],
        ["seed", None, None, "Which simulated cloud: a number, the same story; 1 if unset.", int],
        ["rate", None, None, "Its events a second, 0 (still) to 10000; 2 if unset.", float],
    ]
    longdesc = (
        "Watch a Tutum Stream and tell Slack, PagerDuty and the console. Without --config, set "
        "TUTUM_USERNAME and TUTUM_TOKEN (or TUTUM_AUTH), and SLACK_URL and PAGERDUTY_KEY as wanted."
    )

    def postOptions(self) -> None:
        """Read and check the configuration, so that a mistake ends us before anything starts.

        :raises UsageError: with every mistake.
        """
        demo = {key: self[key] for key in ("seed", "rate") if self[key] is not None}
        if demo and not self["demo"]:
            raise usage.UsageError(f"--{next(iter(demo))} is of use with --demo alone")
        try:
            if self["demo"]:
                self["embedded"] = EmbeddedDemo(DemoSettings(**demo))
            self["configuration"] = self.load()
        except (ConfigurationError, ValueError) as problem:
            raise usage.UsageError(str(problem)) from None

    def load(self) -> Configuration:
        """Read the configuration, at the start and whenever we are told to.

        :raises ConfigurationError: with every mistake.
        :raises ValueError: if it does not watch the simulated cloud that it is for.
        """
        environment, built_in = Environment.of_process(), TUTORIAL
        if self["demo"]:
            environment, built_in = self["embedded"].environment(environment), DOCKER
        configuration = load_configuration(self["config"], environment, built_in)
        if self["demo"]:
            self["embedded"].require_watched(configuration)
        return configuration


def makeService(options: Options) -> IService:
    """Make the service that twistd runs.

    :raises SystemExit: if there is no store to be had; then nothing was started. Twisted would show
        a traceback of any other exception.
    """
    from twisted.internet import reactor

    run_on_monotonic_time(reactor)
    configuration = options["configuration"]
    try:
        store = make_store(configuration.store_path, reactor, time.time)
        watch = make_watch(
            configuration,
            store,
            cast("IReactorTime", reactor),
            time.time,
            random.Random(),  # noqa: S311 - for jitter and a run's id, not for secrets
            ServiceManager.from_environment(os.environ),
            [options["embedded"].make_bridge(reactor)] if options["demo"] else [],
        )
    except StoreUnusableError as problem:
        raise SystemExit(f"tutumwatch: {problem}") from None

    in_reactor = cast("Any", reactor).callFromThread
    cast("Any", reactor).callWhenRunning(
        signal.signal, signal.SIGHUP, lambda *_: in_reactor(watch.reload, options.load)
    )
    return watch


def make_store(path: str, reactor: Any, utc_now: Callable[[], float]) -> SQLiteStore:  # noqa: ANN401 - a whole reactor
    """Make the store in a file, or in memory; nobody else may use the file as long as we run.

    :raises StoreUnusableError: if another process does, or the file cannot be made.
    """
    pool = ThreadPool(1, 1, "store")
    # A disk that does not answer must not keep the process from ending.
    cast("Any", pool).threadFactory = partial(Thread, daemon=True)

    def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
        """Run something in the store's thread, which begins with the first."""
        if not pool.started:
            pool.start()
        return deferToThreadPool(reactor, pool, work)

    lock = Lock(Path(f"{path}.lock"))
    if path != IN_MEMORY:
        lock.take(_say)
        reactor.callWhenRunning(lock.sign)

    def end() -> None:
        """Let go of the thread and the lock, which would go with the process as well."""
        if pool.started:
            pool.stop()
        lock.release()

    return SQLiteStore(path, connect, utc_now, in_thread, end)


def _say(said: str) -> None:
    """Tell whoever starts us: nobody sees the log yet, and half a minute is long."""
    sys.stderr.write(f"tutumwatch: {said}\n")
