"""Turns one TOML value into what a setting's type asks for, or says what would be right."""

from __future__ import annotations

import math
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration

_EXPECTED: dict[Any, str] = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    list[str]: 'a list of texts such as ["a", "b"]',
    Secret: "a text in quotes",
    Duration: 'a length of time such as "15s" or "5m"',
}
_FOUND = {bool: "true or false", str: "a text", int: "a number", float: "a number"} | {
    list: "a list",
    dict: "a table",
}


def convert_setting(value: object, annotation: Any) -> Any:  # noqa: ANN401 - any annotation, its value
    """Turn a TOML value into what a setting's annotation asks for; None is a setting left out.

    :raises ValueError: with the reason, if the value cannot be one. The value is repeated only
        where words are to choose from: elsewhere it may be a credential in the wrong place.
    """
    wanted = _without_none(annotation)
    words = _words(wanted)
    if value is None:
        return None
    if words and value not in words:
        near = suggestion(value, words) if isinstance(value, str) else ""
        message = f"expected {' or '.join(map(repr, words))}, got {_shown(value)}{near}"
        raise ValueError(message)
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    if wanted is Duration and isinstance(value, str):
        return Duration.parse(value)
    try:
        converted = msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        converted = math.nan
    if isinstance(converted, float) and not math.isfinite(converted):
        message = f"expected {_EXPECTED.get(wanted, 'something else')}, got {describe(value)}"
        raise ValueError(message)
    return converted


def may_be_left_out(annotation: Any) -> bool:  # noqa: ANN401 - any annotation
    """Say whether a setting may be None."""
    return NoneType in get_args(annotation)


def describe(value: object) -> str:
    """Say what kind of TOML value this is, without the value itself."""
    return _FOUND.get(type(value), "a date or time")


def _without_none(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    (wanted,) = (choice for choice in get_args(annotation) if choice is not NoneType)
    return wanted


def _words(wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - any annotation
    if get_origin(wanted) is Literal:
        return get_args(wanted)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return tuple(member.value for member in wanted)
    return ()


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else describe(value)
