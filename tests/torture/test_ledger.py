"""Tests of the books: a torture that finds nothing must be one that could have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.torture.boundaries import BOUNDARIES
from tests.torture.destinations import Paged, Said
from tests.torture.ledger import (
    Violation,
    missing,
    out_of_order,
    paging_faults,
    paging_repeats,
    repeats_of,
    told_too_soon,
)
from tests.torture.running import plan
from tutumwatch.rules.grouping import MANY

A, B = "/api/v1/service/a/", "/api/v1/service/b/"


def text(uri: str, number: int, state: str = "Running") -> str:
    """Give what is said of an event."""
    return f"{uri} is {state}-{number}"


def said(life: int, *told: tuple[str, int], lost_answer: bool = False) -> Said:
    """Make a request that was accepted."""
    return Said(life, tuple(text(*one) for one in told), lost_answer)


def paged(action: str, number: int, effect: str, life: int = 1) -> Paged:
    """Make an event about A that PagerDuty accepted."""
    return Paged(life, action, A, text(A, number), effect)


OPENED, CLOSED = paged("trigger", 1, "opened"), paged("resolve", 2, "closed")


class MissingTests(SynchronousTestCase):
    """What is owed has arrived, or is a dead letter."""

    def test_what_is_neither_is_lost(self) -> None:
        owed = {(A, 1): 1, (A, 2): 2, (B, 3): 3}
        found = missing(owed, [said(1, (A, 1))], {(B, 3)})
        self.assertEqual(found, [Violation(f"{A}, event 2: lost", 2, is_loss=True)])

    def test_a_mark_behind_a_text_is_no_matter(self) -> None:
        late = Said(1, (f"{text(A, 1)} of shop (details unknown)",), lost_answer=False)
        self.assertEqual(missing({(A, 1): 1}, [late], set()), [])


class TooSoonTests(SynchronousTestCase):
    """What is told was committed, in the life that told it or before."""

    def found(self, request: Said) -> list[str]:
        """Give what is wrong with a request, where event 1 was committed in life 2."""
        return [violation.what for violation in told_too_soon({(A, 1): 2}, [request], "service")]

    def test_what_is_told_and_not_committed_is_wrong(self) -> None:
        self.assertEqual(self.found(said(2, (A, 2))), [f"{A}: event 2 told, and not committed"])

    def test_what_is_committed_in_a_later_life_is_wrong(self) -> None:
        self.assertEqual(self.found(said(1, (A, 1))), [f"{A}: event 1 told, and not committed"])

    def test_what_was_committed_or_listed_or_is_another_type_is_right(self) -> None:
        late = Said(2, (f"{text(A, 9)} (late)", text("/api/v1/node/x/", 3)))
        self.assertEqual(self.found(said(2, (A, 1))) + self.found(late), [])


class OrderTests(SynchronousTestCase):
    """The first time that something is told counts."""

    def test_what_comes_after_something_later_is_out_of_order(self) -> None:
        (found,) = out_of_order([said(1, (A, 2)), said(2, (A, 1))])
        self.assertEqual((found.what, found.life), (f"{A}: event 1 told after 2", 2))

    def test_repeats_and_other_resources_are_not(self) -> None:
        requests = [said(1, (A, 1)), said(1, (A, 3), (B, 2)), said(2, (A, 1)), said(2, (A, 4))]
        self.assertEqual(list(out_of_order(requests)), [])


class RepeatsTests(SynchronousTestCase):
    """A repeated request is due to the kill of the life that sent it last."""

    def test_a_request_counts_once_however_much_is_in_it(self) -> None:
        repeats = repeats_of([said(1, (A, 1), (B, 2)), said(2, (B, 2), (A, 1))])
        self.assertEqual((repeats.counts(), repeats.violations), ({1: 1}, []))
        self.assertEqual(list(repeats.above(1)), [])

    def test_a_request_that_is_repeated_as_two_counts_twice(self) -> None:
        repeats = repeats_of([said(1, (A, 1), (B, 2)), said(2, (B, 2)), said(2, (A, 1))])
        (found,) = repeats.above(1)
        self.assertEqual(
            (found.life, found.what),
            (
                1,
                "2 repeated requests (1 in life 2, 1 in life 2), and at most 1 were under way",
            ),
        )

    def test_each_kill_has_its_own(self) -> None:
        repeats = repeats_of([said(life, (A, 1)) for life in (1, 2, 3)])
        self.assertEqual(repeats.counts(), {1: 1, 2: 1})

    def test_none_is_due_to_no_kill(self) -> None:
        repeats = repeats_of([said(1, (A, 1)), said(1, (A, 1))])
        self.assertEqual(
            [v.what for v in repeats.violations], [f"{text(A, 1)} said twice in one life"]
        )

    def test_one_whose_answer_was_lost_is_due_to_that(self) -> None:
        repeats = repeats_of([said(1, (A, 1), lost_answer=True), said(1, (A, 1))])
        self.assertEqual((repeats.counts(), repeats.violations, repeats.lost_answers), ({}, [], 1))

    def test_one_that_is_sent_singly_because_it_is_bad_is_due_to_that(self) -> None:
        requests = [said(1, (A, 1), (B, 2)), said(2, (A, 1)), said(2, (B, 2))]
        repeats = repeats_of(requests, [said(2, (A, 1), (B, 2), (A, 61))])
        self.assertEqual((repeats.counts(), repeats.one_by_one), ({}, 2))


class PagingTests(SynchronousTestCase):
    """An incident is opened once and closed once, and open pages are broken things."""

    def faults(self, *events: Paged, is_open: bool = False, is_broken: bool = False) -> list[str]:
        """Give what is wrong with some events, and with what they leave."""
        broken: Iterable[str] = [A] if is_broken else []
        found = paging_faults(events, [A] if is_open else [], set(broken), 1)
        return [violation.what for violation in found]

    def test_open_and_close_is_right(self) -> None:
        repeats = (paged("trigger", 1, ""), OPENED, paged("resolve", 2, ""))
        self.assertEqual(self.faults(OPENED, repeats[0], CLOSED, repeats[2]), [])
        self.assertEqual(self.faults(OPENED, is_open=True, is_broken=True), [])

    def test_a_repeated_event_with_an_effect_is_wrong(self) -> None:
        self.assertEqual(
            self.faults(OPENED, CLOSED, OPENED),
            [f"trigger of {A} ({text(A, 1)}): repeated, and opened an incident"],
        )

    def test_a_resolve_of_what_was_never_told_is_right(self) -> None:
        """With an empty store, what a process before us may have opened is resolved."""
        self.assertEqual(self.faults(paged("resolve", 2, "")), [])

    def test_a_resolve_before_its_trigger_is_wrong(self) -> None:
        early, late = paged("resolve", 2, ""), paged("trigger", 1, "opened")
        self.assertIn(
            f"{A}: event 1 told after 2", self.faults(early, late, is_open=True, is_broken=True)
        )

    def test_a_resolve_of_what_is_closed_is_wrong(self) -> None:
        self.assertEqual(
            self.faults(OPENED, CLOSED, paged("resolve", 3, "")),
            [f"resolve of {A} ({text(A, 3)}): had no effect"],
        )

    def test_an_old_resolve_that_closes_what_is_newer_is_wrong(self) -> None:
        self.assertEqual(
            self.faults(paged("trigger", 3, "opened"), CLOSED)[0],
            f"resolve of {A} ({text(A, 2)}): closed what was opened later",
        )

    def test_a_second_trigger_while_one_is_open_is_wrong(self) -> None:
        self.assertEqual(
            self.faults(OPENED, paged("trigger", 3, "")),
            [f"trigger of {A} ({text(A, 3)}): had no effect"],
        )

    def test_pages_that_are_not_as_things_are_are_wrong(self) -> None:
        self.assertEqual(self.faults(is_broken=True), [f"{A}: broken, and no incident is open"])
        self.assertEqual(self.faults(is_open=True), [f"{A}: well, and its incident is open"])

    def test_repeats_are_counted_by_the_life_that_sent_them_first(self) -> None:
        events = [OPENED, paged("trigger", 1, "", life=2), CLOSED]
        self.assertEqual(paging_repeats(events).counts(), {1: 1})


def of_group(action: str, effect: str, life: int = 1, *, lost_answer: bool = False) -> Paged:
    """Make an event about a group that PagerDuty accepted."""
    said_of = {"trigger": f"{MANY}: 2 are open", "resolve": f"{MANY}: all are over"}
    return Paged(life, action, MANY, said_of[action], effect, lost_answer)


class GroupTests(SynchronousTestCase):
    """What is told of together is open as long as something broken is not open by itself."""

    def faults(self, *open_keys: str, broken: Iterable[str]) -> list[str]:
        """Give what is wrong with what is open."""
        return [violation.what for violation in paging_faults([], open_keys, set(broken), 1)]

    def test_a_group_stands_for_what_is_not_open_by_itself(self) -> None:
        self.assertEqual(self.faults(A, MANY, broken=[A, B]), [])

    def test_one_that_stands_for_nothing_is_wrong(self) -> None:
        self.assertEqual(self.faults(A, MANY, broken=[A]), [f"{MANY}: open, and there are none"])

    def test_it_does_not_stand_for_what_is_well(self) -> None:
        self.assertEqual(self.faults(A, MANY, broken=[B]), [f"{A}: well, and its incident is open"])

    def test_what_is_said_of_it_may_be_said_of_the_next_one(self) -> None:
        opened, closed = of_group("trigger", "opened"), of_group("resolve", "closed")
        repeats = paging_repeats([opened, closed, opened, closed])
        self.assertEqual((repeats.counts(), repeats.violations), ({}, []))
        self.assertEqual(list(paging_faults([opened, closed, opened, closed], [], set(), 1)), [])

    def test_what_follows_its_like_repeats_it(self) -> None:
        closed = of_group("resolve", "closed")
        self.assertEqual(paging_repeats([closed, of_group("resolve", "", life=2)]).counts(), {1: 1})
        (found,) = paging_repeats([closed, of_group("resolve", "")]).violations
        self.assertIn("said twice in one life", found.what)


class PlanTests(SynchronousTestCase):
    """Kills are shared out evenly, and a seed says how."""

    def test_every_boundary_comes_once_before_one_comes_twice(self) -> None:
        count = len(BOUNDARIES)
        kills = [boundary for world in plan(count + 2, 7) for boundary in world]
        self.assertEqual(set(kills[:count]), set(BOUNDARIES))
        self.assertEqual(len(kills), count + 2)

    def test_ci_has_a_kill_for_every_boundary(self) -> None:
        commands = (Path(__file__).resolve().parents[2] / ".ci" / "run").read_text("utf-8")
        (kills,) = re.findall(r" torture KILLS=(\d+)", commands)
        self.assertGreaterEqual(int(kills), max(25, len(BOUNDARIES)))

    def test_a_seed_gives_the_same_again(self) -> None:
        self.assertEqual(plan(60, 7), plan(60, 7))
        self.assertNotEqual(plan(60, 7), plan(60, 8))
