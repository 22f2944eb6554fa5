"""Reads the configuration again when somebody asks (SIGHUP); a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration
from tutumwatch.status.health import RELOAD_FAILED, RELOAD_OK

Load: TypeAlias = Callable[[], Configuration]
"""Reads a configuration; raises ConfigurationError or ValueError if it cannot be used."""


class Reloads:
    """Reads the configuration and goes over to it, one time after the other.

    ``last``: how the last time ended, as health shows it.
    """

    _log = Logger()

    def __init__(
        self, go_over: Callable[[Configuration], Awaitable[None]], now: Callable[[], float]
    ) -> None:
        """Make it.

        :param go_over: lets all that runs go on with another configuration; raises
            ConfigurationError if it cannot, and then has changed nothing.
        :param now: gives the watch's time.
        """
        self._go_over = go_over
        self._now = now
        self.last: Mapping[str, str] = {}
        self._wanted: Load | None = None
        self._working: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._stopped = False

    def ask(self, load: Load) -> Deferred[None]:
        """Read the configuration again and go over to it; fires when nothing is left to do.

        While that is under way, further ones count as one, which comes after it.
        """
        if self._stopped:
            return succeed(None)
        self._wanted = load
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._work())
            self._working.addErrback(lambda failure: failure.trap(CancelledError) and None)
            self._working.addBoth(self._worked)
        return done

    async def _work(self) -> None:
        while self._wanted is not None:
            load, self._wanted = self._wanted, None
            await self._reload(load)

    async def _reload(self, load: Load) -> None:
        try:
            configuration = load()
        except (ConfigurationError, ValueError) as problem:
            self._refuse(problem)
            return
        try:
            await self._go_over(configuration)
        except ConfigurationError as problem:
            self._refuse(problem)
        except CancelledError:  # we are stopping
            raise
        except Exception as problem:  # noqa: BLE001 - we go on with what is changed by now, and show that
            self._log.failure("reload failed halfway; reload again, or start again")
            self._note(RELOAD_FAILED, f"a bug: {type(problem).__name__}")
        else:
            self._note(RELOAD_OK, "")

    def _refuse(self, problem: Exception) -> None:
        mistakes = str(problem).splitlines()
        for mistake in mistakes:
            self._log.error("reload: {mistake}", mistake=mistake)
        self._log.error("reload failed: nothing is changed, all goes on as it was")
        self._note(RELOAD_FAILED, mistakes[0])

    def _note(self, state: str, reason: str) -> None:
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        self.last = {"state": state, "at": at, "reason": reason}

    def _worked(self, _result: object) -> None:
        self._working = None
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    def stop(self) -> None:
        """Leave what is under way where it is, and do no more."""
        self._stopped = True
        if self._working is not None:
            self._working.cancel()
