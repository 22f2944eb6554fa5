"""Reads a table of a configuration key by key, so that no mistake hides another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

import msgspec

from tutumwatch.config.environment import FILE_PREFIX, Environment, UnsetError, read_secret_file
from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes, origin
from tutumwatch.config.values import convert_setting, describe, may_be_left_out
from tutumwatch.http import load_trust_root
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.secret import Secret
from tutumwatch.settings import Settings

S = TypeVar("S", bound=Settings)


def read_table(
    kind: type[S],
    raw: object,
    place: Place,
    mistakes: Mistakes,
    environment: Environment | None = None,
    stand_ins: Mapping[str, object] = MappingProxyType({}),
) -> S | None:
    """Read a table; a key that is wrong is noted and counts as left out.

    :param environment: expands ``${NAME}`` in texts and reads ``file:`` secrets; None for tables
        whose texts are not settings but templates.
    :param stand_ins: what required attributes are where the table has no usable value, so that
        the rest of it can be checked further.
    :return: None if it is no table, or lacks a required key.
    :raises UnsetError: for a variable that is not set, in a table that is optional.
    """
    if not isinstance(raw, Mapping):
        mistakes.add(place, f"expected a table, got {describe(raw)}")
        return None
    name = raw["name"] if isinstance(raw.get("name"), str) else ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    hints = get_type_hints(kind)
    values: dict[str, Any] = {
        f.name: stand_ins[f.name] for f in fields.values() if f.name in stand_ins
    }
    unset: UnsetError | None = None
    for key, value in raw.items():
        try:
            field = _known(key, fields)
            values[field.name] = _convert(value, hints[field.name], environment)
        except UnsetError as problem:
            unset = problem
            if raw.get("optional") is not True:
                what = _explain_unset(problem, may_be_off="optional" in fields)
                mistakes.add((*place, key), what, name)
        except ValueError as problem:
            mistakes.add((*place, key), str(problem) + origin(value), name)
    for key, field in fields.items():
        if field.required and key not in raw:
            mistakes.add(place, f"the key {key!r} is missing", name)
    if unset is not None and raw.get("optional") is True:
        raise unset
    is_whole = all(field.name in values for field in fields.values() if field.required)
    return kind(**values) if is_whole else None


def _known(key: str, fields: Mapping[str, msgspec.structs.FieldInfo]) -> msgspec.structs.FieldInfo:
    if key not in fields:
        message = f"there is no such key{suggestion(key, fields)}; known are {', '.join(fields)}"
        raise ValueError(message)
    return fields[key]


def _convert(value: object, hint: object, environment: Environment | None) -> object:
    expanded = _expand(value, hint, environment)
    try:
        return convert_setting(expanded, hint)
    except ValueError as problem:
        # A variable in the wrong place may hold a credential.
        said = str(problem) if expanded == value else str(problem).replace(repr(expanded), "that")
        raise ValueError(said) from None


def _expand(value: object, hint: object, environment: Environment | None) -> object:
    if environment is None or not isinstance(value, str):
        return value
    expanded = environment.expand(value)
    if may_be_left_out(hint) and not expanded:
        return None
    if Secret in (hint, *getattr(hint, "__args__", ())) and expanded.startswith(FILE_PREFIX):
        return read_secret_file(expanded.removeprefix(FILE_PREFIX), "file")
    return expanded


def _explain_unset(problem: UnsetError, *, may_be_off: bool) -> str:
    name = problem.args[0]
    remedy = f"{name} is not set, nor {name}_FILE; set one, or write ${{{name}:-default}}"
    return f"{remedy}, or optional = true to do without" if may_be_off else remedy


def require_ca_file(path: str | None) -> str:
    """Check that a ``ca_file``, if there is one, holds certificates.

    :return: a digest of what it holds, empty without one: a file that was replaced has another.
    :raises ValueError: naming the key and what is wrong.
    """
    if path is None:
        return ""
    try:
        load_trust_root(path)
        content = Path(path).read_bytes()
    except (OSError, ValueError) as problem:
        message = f"ca_file: {problem}"
        raise ValueError(message) from problem
    return hashlib.sha256(content).hexdigest()
