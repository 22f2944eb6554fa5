"""What rounds come to: medians, ratios, targets; and the page and the chart that tell it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from bench.ceiling import Ceiling
from bench.chart import draw
from bench.contenders import (
    ASYNCIO,
    BATCHING,
    FEW_RULES,
    MANY_RULES,
    TUTORIAL,
    TUTUMWATCH,
    Contender,
)
from bench.report import Bench, results_table, targets_table, write_page
from bench.rounds import Round
from bench.summary import TARGETS, Results, cpu_us, delay_ms, judge, percentile, rate
from bench.workloads import WORKLOADS, Workload

BY_NAME: Mapping[str, Workload] = {one.name: one for one in WORKLOADS}


def round_of(
    contender: Contender, seconds: float, *, events: int = 100, lost: int = 0, mib: float = 50.0
) -> Round:
    """Make a round of 100 events, all told unless lost."""
    return Round(
        contender.name, events, 100, seconds, lost=lost, cpu_seconds=seconds / 2, peak_mib=mib
    )


def results_of(name: str, **seconds: Sequence[float]) -> Mapping[str, Results]:
    """Make the results of one workload: the seconds of each contender's rounds."""
    contenders = {one.name: one for one in (TUTUMWATCH, BATCHING, TUTORIAL, ASYNCIO)}
    rounds = {
        who: [round_of(contenders[who], taken) for taken in all_taken]
        for who, all_taken in seconds.items()
    }
    return {name: Results(BY_NAME[name], rounds)}


class MeasuresTests(SynchronousTestCase):
    """What is read off a round."""

    def test_percentile_is_a_value_that_was_measured(self) -> None:
        values = [float(number) for number in range(1, 101)]
        self.assertEqual(percentile(values, 0.5), 50.0)
        self.assertEqual(percentile(values, 0.99), 99.0)
        self.assertEqual(percentile([7.0], 0.99), 7.0)

    def test_rate_cpu_and_delay(self) -> None:
        one = Round("x", 200, 1, 4.0, cpu_seconds=0.002, delays=(0.001, 0.003))
        self.assertEqual(rate(one), 50.0)
        self.assertAlmostEqual(cpu_us(one), 10.0)
        self.assertAlmostEqual(delay_ms(one, 0.99), 3.0)

    def test_ratio_is_the_median_of_rounds_that_ran_together(self) -> None:
        results = results_of("mixed", tutumwatch=[1.0, 8.0, 3.0], asyncio=[1.0, 2.0, 2.0])["mixed"]
        ratio = results.ratio(TUTUMWATCH, ASYNCIO, lambda one: one.seconds)
        self.assertEqual(ratio, 1.5)

    def test_a_contender_of_one_round_is_compared_with_the_first(self) -> None:
        results = results_of("mixed", tutumwatch=[1.0, 8.0, 8.0], tutorial=[4.0])["mixed"]
        self.assertEqual(results.ratio(TUTORIAL, TUTUMWATCH, lambda one: one.seconds), 4.0)


class TargetsTests(SynchronousTestCase):
    """Whether what must hold does."""

    def test_every_target_is_of_a_workload_that_there_is(self) -> None:
        self.assertEqual({one.workload for one in TARGETS} - set(BY_NAME), set())

    def test_a_flood_must_be_fast_enough(self) -> None:
        slow = judge(results_of("flood", tutumwatch=[1.0], tutorial=[2.4]))
        fast = judge(results_of("flood", tutumwatch=[1.0], tutorial=[2.6]))
        self.assertEqual([one.holds for one in (*slow, *fast)], [False, True])

    def test_rules_that_cannot_match_must_cost_little(self) -> None:
        """Compared round by round, in the same run."""
        rounds = {
            contender.name: [round_of(contender, seconds) for seconds in all_seconds]
            for contender, all_seconds in (
                (FEW_RULES, (1.0, 2.0, 1.0)),
                (MANY_RULES, (1.2, 2.8, 1.4)),
            )
        }
        results = {"rules": Results(BY_NAME["rules"], rounds)}
        (verdict,) = judge(results)
        self.assertEqual((verdict.value, verdict.holds), (1.4, False))
        rounds[MANY_RULES.name] = [round_of(MANY_RULES, 1.29)]
        self.assertTrue(judge(results)[0].holds)
        self.assertIn(
            "| rules | tutumwatch, 203 rules | 1.29 | 78 | 0.78 x |", results_table(results)
        )

    def test_mixed_has_a_target_with_batching_and_one_without(self) -> None:
        verdicts = judge(results_of("mixed", tutumwatch=[1.4], batching=[1.1], asyncio=[1.0]))
        self.assertEqual([one.holds for one in verdicts], [True, False])

    def test_one_round_that_loses_something_is_enough(self) -> None:
        rounds = [round_of(TUTUMWATCH, 1.0, lost=lost) for lost in (0, 1, 0)]
        (verdict,) = judge({"crash": Results(BY_NAME["crash"], {"tutumwatch": rounds})})
        self.assertFalse(verdict.holds)


class PagesTests(SynchronousTestCase):
    """What is written."""

    def test_tables_say_what_was_measured_and_what_was_missed(self) -> None:
        results = results_of("flood", tutumwatch=[2.0], tutorial=[4.0], asyncio=[1.0])
        table = results_table(results)
        self.assertIn("| flood | the tutorial's client | 4.00 | 25 | 0.50 x |", table)
        self.assertIn("at least 2.5 x | 2 x | **missed**", targets_table(judge(results)))

    def test_who_lost_something_is_not_compared(self) -> None:
        rounds = {
            TUTUMWATCH.name: [round_of(TUTUMWATCH, 2.0)],
            TUTORIAL.name: [round_of(TUTORIAL, 1.0, lost=15)],
        }
        table = results_table({"faults": Results(BY_NAME["faults"], rounds)})
        self.assertIn("| faults | the tutorial's client | 1.00 |  |  | 5,000 | 50 | 15 |", table)

    def test_the_page_has_the_profile_of_what_was_missed(self) -> None:
        results = results_of("flood", tutumwatch=[2.0], tutorial=[4.0], asyncio=[1.0])
        bench = Bench(["a machine"], Ceiling(1e6, 1e4), results, judge(results), 60.0, {})
        self.assertNotIn("Why a target", write_page(bench, "bench.svg"))
        missed = Bench(["a machine"], Ceiling(1e6, 1e4), results, [], 60.0, {"flood": "decide"})
        self.assertIn("### flood\n\n```\ndecide\n```", write_page(missed, "bench.svg"))

    def test_the_chart_is_xml_with_a_bar_for_each_contender(self) -> None:
        results = results_of("flood", tutumwatch=[2.0], tutorial=[4.0], asyncio=[1.0])
        root = ET.fromstring(draw(results))  # noqa: S314 - we drew it
        bars = root.findall("{http://www.w3.org/2000/svg}rect")[1:]
        widths = [float(bar.attrib["width"]) for bar in bars]
        self.assertAlmostEqual(widths[0] / widths[1], 2.0, places=1)
        self.assertAlmostEqual(widths[2] / widths[0], 2.0, places=1)

    def test_nothing_lost_is_no_bar(self) -> None:
        rounds = {
            TUTUMWATCH.name: [round_of(TUTUMWATCH, 2.0)],
            TUTORIAL.name: [round_of(TUTORIAL, 1.0, lost=15)],
        }
        drawn = draw({"faults": Results(BY_NAME["faults"], rounds)})
        self.assertIn('width="0.0"', drawn)
        self.assertIn("15.0 %", drawn)
