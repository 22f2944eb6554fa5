"""Patterns of matchers: a value that is written out, or a glob with ``*`` and ``?``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeAlias

Pattern: TypeAlias = Callable[[object], bool]
"""Says whether a value that is known fits."""


def compile_pattern(word: object, *, has_case: bool) -> Pattern:
    """Compile what a rule writes to match a value: a text, a number, true or false.

    A text fits what is written so, also a number; a number fits an equal one, and a text that is
    written so, since the values of labels are texts.
    """
    if not isinstance(word, str):
        return _compile_number(word)
    wanted = word if has_case else word.lower()
    if is_glob(wanted):
        regex = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
        fits = re.compile(regex, re.DOTALL).fullmatch
        if has_case:
            return lambda value: fits(written(value)) is not None
        return lambda value: fits(written(value).lower()) is not None
    # Written out, because nearly every value is a text, and rules ask for every event.
    if has_case:
        return lambda value: (value if type(value) is str else written(value)) == wanted
    return lambda value: (value if type(value) is str else written(value)).lower() == wanted


def _compile_number(word: object) -> Pattern:
    is_flag = isinstance(word, bool)
    as_text = written(word)

    def fits(value: object) -> bool:
        if isinstance(value, str):
            return value == as_text
        # True equals 1 in Python; a rule that says 1 does not mean it.
        return isinstance(value, bool) is is_flag and value == word

    return fits


def is_glob(word: str) -> bool:
    """Say whether a text stands for others."""
    return "*" in word or "?" in word


def written(value: object) -> str:
    """Write a value as TOML and JSON do, and a whole number without a fraction."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def is_negative(word: object) -> bool:
    """Say whether a pattern names what may not be."""
    return isinstance(word, str) and word.startswith("!")


def quoted(value: object) -> str:
    """Write a value for people, so that texts and numbers can be told apart."""
    return json.dumps(value, ensure_ascii=False, default=str)
