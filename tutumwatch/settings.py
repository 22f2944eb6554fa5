"""The types that settings are written in; every folder declares its own settings with them."""

from __future__ import annotations

import re
from typing import Any, get_args

import attrs
import msgspec

from tutumwatch.secret import Secret

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

    def __str__(self) -> str:
        """Write the duration as a person would: ``15s``, ``5m``, ``1h``."""
        for unit in ("d", "h", "m", "s"):
            if self.seconds >= _UNIT_SECONDS[unit] and self.seconds % _UNIT_SECONDS[unit] == 0:
                return f"{self.seconds / _UNIT_SECONDS[unit]:g}{unit}"
        return f"{self.seconds:g}s"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the configuration: one attribute a key, its type what may be written there."""


def convert_setting(value: object, annotation: Any) -> Any:  # noqa: ANN401 - any annotation, its value
    """Turn a TOML value into what a setting's annotation asks for.

    :raises ValueError: with the reason, if the value cannot be one.
    """
    choices = get_args(annotation) or (annotation,)
    if Secret in choices:
        if not isinstance(value, str):
            message = "expected a text"  # the value is not repeated: it may be a credential
            raise ValueError(message)
        return Secret(value)
    if Duration in choices:
        if not isinstance(value, str):
            message = f'expected a length of time such as "15s" or "5m", got {value!r}'
            raise ValueError(message)
        return Duration.parse(value)
    return msgspec.convert(value, annotation)
