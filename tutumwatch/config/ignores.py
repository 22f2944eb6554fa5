"""Reads the ``[[ignore]]`` tables."""

from __future__ import annotations

from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.values import describe
from tutumwatch.rules.ignores import Ignores, compile_ignores


def read_ignores(raw: object, mistakes: Mistakes) -> Ignores:
    """Read the array of what is ignored; what is wrong is noted."""
    if not isinstance(raw, list):
        mistakes.add(("ignore",), f"expected tables such as [[ignore]], got {describe(raw)}")
        return Ignores()
    return compile_ignores(raw, mistakes.reporter(("ignore",)))
