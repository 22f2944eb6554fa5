"""The chart: bars, a panel for each measure, as SVG that any browser shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

import attrs

from bench.contenders import CONTENDERS, Contender
from bench.rounds import Round
from bench.summary import Results, delay_ms, rate

WIDTH, COLUMNS_COUNT, MARGIN = 960, 2, 24
PANEL_GAP, HEAD_HEIGHT, BAR_HEIGHT, BAR_GAP = 32, 34, 20, 8
TITLE_HEIGHT = 84
NAME_WIDTH, VALUE_WIDTH = 158, 92
PANEL_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS_COUNT - 1) * PANEL_GAP) // COLUMNS_COUNT
BAR_MAX_WIDTH = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH
COLOURS = {"tutumwatch": "#1f5fbf", "batching": "#6f9fe0", "tutorial": "#8a8a8a"}
OTHER_COLOUR = "#b9b9b9"


@attrs.frozen
class Panel:
    """One measure of one workload; ``better`` says in which direction."""

    workload: str
    title: str
    better: str
    measure: Callable[[Round], float]
    write: Callable[[float], str]


PANELS = (
    Panel("flood", "Flood: events a second", "more is better", rate, "{:,.0f}".format),
    Panel(
        "flood20k",
        "Flood, 20,000 resources: events a second",
        "more is better",
        rate,
        "{:,.0f}".format,
    ),
    Panel(
        "mixed",
        "Mixed, 5 % looked up: seconds",
        "less is better",
        lambda one: one.seconds,
        "{:.2f} s".format,
    ),
    Panel(
        "trickle",
        "Trickle: event to POST, p99",
        "less is better",
        lambda one: delay_ms(one, 0.99),
        "{:,.1f} ms".format,
    ),
    Panel(
        "faults",
        "Faults: notices lost",
        "less is better",
        lambda one: one.lost / one.notices * 100,
        "{:.1f} %".format,
    ),
    Panel(
        "crash",
        "Crash: notices lost",
        "less is better",
        lambda one: one.lost / one.notices * 100,
        "{:.1f} %".format,
    ),
)


def draw(results: Mapping[str, Results]) -> str:
    """Draw the panels of the workloads that ran."""
    panels = [panel for panel in PANELS if panel.workload in results]
    pieces: list[str] = []
    top = TITLE_HEIGHT
    for first in range(0, len(panels), COLUMNS_COUNT):
        row = panels[first : first + COLUMNS_COUNT]
        heights = []
        for column, panel in enumerate(row):
            left = MARGIN + column * (PANEL_WIDTH + PANEL_GAP)
            drawn, height = _panel(panel, results[panel.workload], left, top)
            pieces += drawn
            heights.append(height)
        top += max(heights) + PANEL_GAP
    return "\n".join([*_head(top), *pieces, "</svg>", ""])


def _head(height: int) -> list[str]:
    return [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" font-size="13">'
        ),
        "<title>tutumwatch beside the tutorial's client and an asyncio script</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, 34, "make bench", size=20, weight="bold"),
        _text(MARGIN, 54, "medians, on one machine, over loopback", fill="#555555"),
    ]


def _panel(panel: Panel, results: Results, left: int, top: int) -> tuple[list[str], int]:
    shown = [c for c in CONTENDERS if c.name in results.rounds]
    values = {c.name: results.median(c, panel.measure) for c in shown}
    most = max((value for value in values.values() if math.isfinite(value)), default=0.0)
    pieces = [
        _text(left, top + 14, panel.title, weight="bold", size=14),
        _text(left + PANEL_WIDTH, top + 14, panel.better, fill="#555555", anchor="end"),
    ]
    bar_top = top + HEAD_HEIGHT
    for contender in shown:
        pieces += _bar(panel, contender, values[contender.name], most, (left, bar_top))
        bar_top += BAR_HEIGHT + BAR_GAP
    return pieces, bar_top - top


def _bar(
    panel: Panel, contender: Contender, value: float, most: float, at: tuple[int, int]
) -> Sequence[str]:
    left, top = at
    # What is not nothing is at least a line.
    width = max(1.0, value / most * BAR_MAX_WIDTH) if value else 0.0
    colour = COLOURS.get(contender.name, OTHER_COLOUR)
    begin, middle = left + NAME_WIDTH, top + BAR_HEIGHT - 5
    return (
        _text(begin - 8, middle, contender.title, anchor="end"),
        f'<rect x="{begin}" y="{top}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>',
        _text(begin + round(width) + 6, middle, panel.write(value)),
    )


def _text(
    x: int,
    y: int,
    text: str,
    *,
    fill: str = "#1a1a1a",
    anchor: str = "start",
    size: int = 13,
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
