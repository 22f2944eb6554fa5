"""Tests of what a status means where a destination's documents say nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import (
    ALL_STATUSES,
    BUSY,
    CREDENTIAL_AT_FAULT,
    PAYLOAD_AT_FAULT,
    answer,
)
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, Reason, RetryLater
from tutumwatch.notifiers.statuses import judge_status, said_by


def expected(status: int) -> Outcome:
    """Give what a status must be judged to be, from the classes written out above."""
    said = f"{status} why"
    if status // 100 == 2:
        return Delivered()
    if status == 429:
        return RetryLater(Reason.RATE_LIMITED, said, 7.0, surely_refused=True)
    if status // 100 == 5 or status in BUSY:
        return RetryLater(Reason.SERVER, said, 7.0)
    if status in CREDENTIAL_AT_FAULT:
        return Park(Reason.AUTH, said)
    if status == 413:
        return GiveUp(Reason.TOO_LARGE, said)
    if status in PAYLOAD_AT_FAULT:
        return GiveUp(Reason.CLIENT, said)
    return Park(Reason.CLIENT, said)


class JudgeStatusTests(SynchronousTestCase):
    """Every status has one meaning."""

    def test_every_status(self) -> None:
        for status in ALL_STATUSES:
            judged = judge_status(answer(status, "why", 7.0))
            self.assertEqual(judged, expected(status), status)

    def test_only_a_bad_payload_kills_a_notice(self) -> None:
        killed = [s for s in ALL_STATUSES if isinstance(judge_status(answer(s)), GiveUp)]
        self.assertEqual(tuple(killed), PAYLOAD_AT_FAULT)

    def test_a_redirect_and_what_is_not_found_are_a_wrong_address(self) -> None:
        """Nothing that waits is lost: the destination is parked."""
        for status in (301, 302, 303, 304, 307, 308, 404, 405, 410):
            self.assertIsInstance(judge_status(answer(status)), Park, status)

    def test_without_retry_after_there_is_none(self) -> None:
        judged = judge_status(answer(503))
        self.assertEqual(judged, RetryLater(Reason.SERVER, "503", None))

    def test_only_a_refusal_for_sure_proves_that_nothing_happened(self) -> None:
        """A 500 may come after the incident was opened."""
        sure = [s for s in ALL_STATUSES if getattr(judge_status(answer(s)), "surely_refused", 0)]
        self.assertEqual(sure, [429])


class SaidByTests(SynchronousTestCase):
    """What a destination said is one printable line of a log, however long it was."""

    def test_status_and_words(self) -> None:
        self.assertEqual(said_by(answer(403, "  invalid_token\n")), "403 invalid_token")
        self.assertEqual(said_by(answer(500)), "500")

    def test_it_is_one_printable_line(self) -> None:
        self.assertEqual(
            said_by(answer(500, b"a\r\nb\x1b[2Jc\xff")), "500 a  b [2Jc\N{REPLACEMENT CHARACTER}"
        )

    def test_it_is_cut_with_an_ellipsis(self) -> None:
        self.assertEqual(said_by(answer(500, "x" * 200)), "500 " + "x" * 200)
        self.assertEqual(said_by(answer(500, "x" * 201)), "500 " + "x" * 199 + "…")

    @given(st.binary(max_size=2_000))
    def test_whatever_it_was(self, body: bytes) -> None:
        said = said_by(answer(500, body))
        self.assertTrue(said.isprintable())
        self.assertLessEqual(len(said), 204)
