"""Tests of a configured destination as a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.notifiers.cases import ScriptedWeb, answer, notice
from tests.secrets_check import RecordedLog, find_leaks
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Reason, RetryLater
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import Secret

TOKEN = "t0ken-that-nobody-may-see"
URL = Secret(f"https://x.example/hook/{TOKEN}")


@attrs.frozen
class PlainNotifier:
    """Sends the texts, and judges by what a test says."""

    read: Callable[[Response], Sequence[Outcome]] = lambda _response: [Delivered()]

    def render(self, batch: Sequence[Notice], memory: Mapping[str, str]) -> Request:
        """Put texts and memory into the body."""
        body = f"{[n.text for n in batch]} {dict(memory)}".encode()
        return Request("POST", URL, {"X-Key": TOKEN}, body, secrets=(Secret(TOKEN),))

    def judge(self, batch: Sequence[Notice], response: Response) -> Sequence[Outcome]:
        """Judge."""
        return self.read(response)


@attrs.frozen
class PlainSender:
    """A sender that ends as a test says."""

    end: Callable[[Sequence[Notice]], Deferred[Sequence[Outcome]]]

    def send(self, batch: Sequence[Notice]) -> Deferred[Sequence[Outcome]]:
        """Send."""
        return self.end(batch)


def _raise_token(_response: Response) -> Sequence[Outcome]:
    raise KeyError(TOKEN)


class ServiceTestCase(SynchronousTestCase):
    """Words for one service."""

    def deliver(
        self,
        notifier: PlainNotifier | PlainSender,
        web: ScriptedWeb | None = None,
        count: int = 1,
    ) -> Sequence[Outcome]:
        """Deliver some notices."""
        service = NotifierService("ops", notifier, web or ScriptedWeb(answer(200)))
        return self.successResultOf(service.deliver([notice()] * count))


class RenewedTests(ServiceTestCase):
    """A notifier whose key was changed is another one; the service stays."""

    def test_what_comes_after_goes_by_the_new_settings(self) -> None:
        before, after = ScriptedWeb(answer(401)), ScriptedWeb(answer(200))
        refused = PlainNotifier(lambda _response: [GiveUp(Reason.AUTH, "401")])
        service = NotifierService("ops", refused, before)
        self.assertEqual(
            self.successResultOf(service.deliver([notice()])), [GiveUp(Reason.AUTH, "401")]
        )
        service.use(PlainNotifier(), after)
        self.assertEqual(self.successResultOf(service.deliver([notice()])), [Delivered()])
        self.assertEqual((len(before.requests), len(after.requests)), (1, 1))


class DeliverTests(ServiceTestCase):
    """``deliver`` gives one outcome for each notice, and its Deferred never fails."""

    def test_it_is_a_service_of_its_name(self) -> None:
        service = NotifierService("ops", PlainNotifier(), ScriptedWeb(None))
        self.assertTrue(verifyObject(IService, service))
        self.assertEqual((service.name, service.notifier_name), ("notifier:ops", "ops"))

    def test_a_notice_is_rendered_sent_and_judged(self) -> None:
        web = ScriptedWeb(answer(200, "fine"))
        seen: list[Response] = []

        def read(response: Response) -> Sequence[Outcome]:
            seen.append(response)
            return [Delivered("ts")]

        service = NotifierService("ops", PlainNotifier(read), web)
        outcomes = self.successResultOf(service.deliver([notice("down")], {"web": "ts 1"}))
        self.assertEqual(outcomes, [Delivered("ts")])
        self.assertEqual([r.body for r in web.requests], [b"['down'] {'web': 'ts 1'}"])
        self.assertEqual((web.deadlines, seen), ([10.0], [answer(200, "fine")]))

    def test_without_an_answer_it_is_tried_later(self) -> None:
        """Whether it was surely not sent decides what may be withdrawn."""
        for timed_out, reason in ((True, Reason.TIMEOUT), (False, Reason.NETWORK)):
            for unsent in (True, False):
                web = ScriptedWeb(NoResponse(timed_out, "why", unsent))
                self.assertEqual(
                    self.deliver(PlainNotifier(), web, count=2),
                    [RetryLater(reason, "why", None, unsent)] * 2,
                )

    def test_a_sender_sends_by_itself(self) -> None:
        web = ScriptedWeb(None)
        outcomes = self.deliver(PlainSender(lambda b: succeed([Delivered()] * len(b))), web, 3)
        self.assertEqual((outcomes, web.requests), ([Delivered()] * 3, []))

    def test_cancelled_it_is_tried_later(self) -> None:
        """What a sender began may have happened."""
        service = NotifierService("ops", PlainSender(lambda _b: Deferred()), ScriptedWeb(None))
        delivered = service.deliver([notice(), notice()])
        self.assertNoResult(delivered)
        delivered.cancel()
        self.assertEqual(
            self.successResultOf(delivered),
            [RetryLater(Reason.TIMEOUT, "cancelled: we are stopping")] * 2,
        )

    def test_a_sender_may_itself_end_as_cancelled(self) -> None:
        outcomes = self.deliver(PlainSender(lambda _b: fail(Failure(CancelledError()))))
        self.assertIsInstance(outcomes[0], RetryLater)


class BugTests(ServiceTestCase):
    """A bug in a notifier makes dead letters that a person sees, and ends nothing."""

    def setUp(self) -> None:
        """Record the log."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def assert_bug(self, outcomes: Sequence[Outcome], what: str, count: int = 1) -> None:
        """Fail unless each notice was given up, and one line says why, without the credential."""
        (outcome,) = set(outcomes)
        assert isinstance(outcome, GiveUp)
        self.assertEqual(len(outcomes), count)
        self.assertRegex(outcome.said, f"^a bug in the notifier: {what}$")
        self.assertEqual(len(self.log.events), 1)
        self.assertEqual(find_leaks(f"{self.log.output} {outcomes}", [TOKEN]), [])
        self.assertRegex(self.log.output, what)

    def test_judging_that_raises(self) -> None:
        """The error's words, which hold the credential, are left out; its place is told."""
        outcomes = self.deliver(PlainNotifier(_raise_token), count=2)
        self.assert_bug(outcomes, r"it raised KeyError at test_service\.py:\d+", count=2)

    def test_rendering_that_raises(self) -> None:
        service = NotifierService("ops", PlainNotifier(), ScriptedWeb(None))
        batch: list[Notice] = [None]  # type: ignore[list-item] # has no text, so rendering raises
        outcomes = self.successResultOf(service.deliver(batch))
        self.assert_bug(outcomes, r"it raised AttributeError at test_service\.py:\d+")

    def test_a_sender_that_raises(self) -> None:
        def send(_batch: Sequence[Notice]) -> Deferred[Sequence[Outcome]]:
            raise KeyError(TOKEN)

        self.assert_bug(self.deliver(PlainSender(send)), r"it raised KeyError at test_service.*")

    def test_a_sender_that_fails(self) -> None:
        outcomes = self.deliver(PlainSender(lambda _b: fail(Failure(KeyError(TOKEN)))))
        self.assert_bug(outcomes, r"it raised KeyError at \w+\.py:\d+")

    def test_too_few_outcomes(self) -> None:
        """Nobody can tell which notice they belong to; sent again they would be said for ever."""
        outcomes = self.deliver(PlainNotifier(), count=3)
        self.assert_bug(outcomes, "1 outcomes for 3 notices", count=3)

    def test_no_outcomes_at_all(self) -> None:
        nothing = PlainNotifier(lambda _response: None)  # type: ignore[arg-type, return-value] # the bug
        self.assert_bug(self.deliver(nothing), r"it raised TypeError at service\.py:\d+")


class BlotTests(ServiceTestCase):
    """What a destination repeats of a request is blotted out before anybody reads it."""

    def test_the_credential_in_an_answer(self) -> None:
        said: list[bytes] = []

        def read(response: Response) -> Sequence[Outcome]:
            said.append(response.body)
            return [Delivered()]

        page = f"The requested URL /hook/{TOKEN} was not found. X-Key: {TOKEN}"
        self.deliver(PlainNotifier(read), ScriptedWeb(answer(404, page)))
        self.assertEqual(said, [b"The requested URL /[hidden] was not found. X-Key: [hidden]"])
