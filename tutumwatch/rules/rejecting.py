"""What becomes of what cannot be decided: it is counted, with the reason, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Reject: TypeAlias = Callable[[str, bytes], None]
"""Takes why something could not be decided, and what it was."""


def count_nothing(reason: str, sample: bytes) -> None:
    """Stand for whoever counts what could not be decided."""


def describe_problem(problem: Exception) -> str:
    """Write an exception on one line: ``ZeroDivisionError: division by zero``."""
    return f"{type(problem).__name__}: {problem}"
