"""The heartbeat: a sign of life to somebody who raises the alarm when it stays out.

It goes out only while we watch and tell: if this host, its network or the watcher itself dies,
nobody else is left to say so. The form is that of https://healthchecks.io/docs/http_api/ and of
Dead Man's Snitch, both read 2026-11: a GET of a URL that is a credential.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch import __version__
from tutumwatch.http import HTTPCaller, NoResponse, Request, Response
from tutumwatch.secret import Secret, redacted
from tutumwatch.status.health import Health

# So soon a heartbeat that is due goes out when all is well again.
CHECK_SECONDS = 5.0
# One that failed is sent again sooner than the next is due, where they are far apart.
AGAIN_SECONDS = 60.0
DEADLINE_SECONDS = 10.0


class Heartbeat(Service):
    """``heartbeat``: sends a GET every now and then, for as long as all is well."""

    name = "heartbeat"
    _log = Logger()

    def __init__(
        self,
        check: Callable[[], Health],
        url: Secret,
        interval_seconds: float,
        web: HTTPCaller,
        clock: IReactorTime,
    ) -> None:
        """Make the service.

        :param check: says how we are.
        """
        self._check = check
        self._url = url
        self._interval_seconds = interval_seconds
        self._web = web
        self._clock = clock
        self._due = clock.seconds()
        self._sending: Deferred[None] | None = None
        self._failed_count = 0
        self._withheld = ""
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def use(self, url: Secret) -> None:
        """Go on with another URL."""
        self._url = url
        self._due = self._clock.seconds()

    def startService(self) -> None:
        """Begin to look; before the first look a stream has had time to connect."""
        super().startService()
        self._loop.start(min(CHECK_SECONDS, self._interval_seconds), now=False).addErrback(
            lambda failure: self._log.failure("the heartbeat failed", failure)
        )

    def _look(self) -> None:
        not_well = "; ".join(self._check().not_well)
        if bool(not_well) != bool(self._withheld):
            if not_well:
                self._log.info("heartbeat withheld: {not_well}", not_well=not_well)
            else:
                self._log.info("heartbeat goes out again: all is well")
        self._withheld = not_well
        if not not_well and self._sending is None and self._clock.seconds() >= self._due:
            self._due = self._clock.seconds() + self._interval_seconds
            self._sending = Deferred.fromCoroutine(self._send())
            self._sending.addBoth(self._sent)

    async def _send(self) -> None:
        headers = {"User-Agent": f"tutumwatch/{__version__}"}
        answer = await self._web.send(Request("GET", self._url, headers), DEADLINE_SECONDS)
        if self.running:
            self._judge(answer)

    def _judge(self, answer: Response | NoResponse) -> None:
        """Warn of the first failure; further ones are only counted."""
        if isinstance(answer, Response) and 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's
            if self._failed_count:
                self._log.info(
                    "heartbeat received again, after {count} that were not",
                    count=self._failed_count,
                )
            self._failed_count = 0
            return
        self._failed_count += 1
        self._due = min(self._due, self._clock.seconds() + AGAIN_SECONDS)
        if self._failed_count == 1:
            # Not what was answered: it may repeat the URL.
            said = answer.sentence if isinstance(answer, NoResponse) else f"status {answer.status}"
            self._log.warn(
                "heartbeat not received by {url}: {said}",
                url=redacted(self._url.reveal()),
                said=said,
            )

    def _sent(self, result: object) -> None:
        self._sending = None
        if isinstance(result, Failure) and self.running:
            self._log.failure("the heartbeat failed", result)

    def stopService(self) -> None:
        """Send no more."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        if self._sending is not None:
            self._sending.cancel()
