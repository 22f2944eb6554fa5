"""The types that settings are written in; every folder declares its own settings with them."""

from __future__ import annotations

import re

import attrs
import msgspec

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@attrs.frozen(order=True)
class Duration:
    """A length of time, written ``"15s"``, ``"5m"``, ``"1h30m"``, ``"500ms"``."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read a duration.

        :raises ValueError: with the forms that are understood, if this is none of them.
        """
        pieces = _DURATION.findall(text.strip())
        if not pieces or "".join(number + unit for number, unit in pieces) != text.strip():
            message = (
                f'{text!r} is no length of time; write it like "500ms", "15s", "5m" or "1h30m"'
            )
            raise ValueError(message)
        return cls(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in pieces))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the configuration: one attribute a key, its type what may be written there."""
