"""Reads a table of a configuration key by key, so that no mistake hides another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from tutumwatch.config.environment import FILE_PREFIX, Environment, UnsetError, read_secret_file
from tutumwatch.config.mistakes import Mistakes, Place
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.secret import Secret
from tutumwatch.settings import Settings, convert_setting

S = TypeVar("S", bound=Settings)


def read_table(
    kind: type[S],
    raw: object,
    place: Place,
    mistakes: Mistakes,
    environment: Environment | None = None,
) -> S | None:
    """Read a table; None if it holds a mistake.

    :param environment: expands ``${NAME}`` in texts and reads ``file:`` secrets; None for tables
        whose texts are not settings but templates.
    :raises UnsetError: for a variable that is not set, in a table that is optional.
    """
    if not isinstance(raw, Mapping):
        mistakes.add(place, f"expected a table, got {raw!r}")
        return None
    name = str(raw.get("name", "")) if isinstance(raw.get("name"), str) else ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    hints = get_type_hints(kind)
    before = len(mistakes.found)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in fields:
            mistakes.add(
                (*place, key), f"there is no such key{suggestion(key, list(fields))}", name
            )
            continue
        field = fields[key]
        try:
            expanded = _expand(value, hints[field.name], environment, key)
            values[field.name] = convert_setting(expanded, hints[field.name])
        except UnsetError as unset:
            if raw.get("optional") is True:
                raise
            mistakes.add((*place, key), _explain_unset(str(unset.args[0])), name)
        except ValueError as problem:
            mistakes.add((*place, key), str(problem), name)
    for key, field in fields.items():
        if field.required and key not in raw:
            mistakes.add(place, f"the key {key!r} is missing", name)
    return kind(**values) if len(mistakes.found) == before else None


def _expand(value: object, hint: object, environment: Environment | None, key: str) -> object:
    if environment is None or not isinstance(value, str):
        return value
    expanded = environment.expand(value)
    is_secret = Secret in (get_args(hint) or (hint,))
    if is_secret and expanded.startswith(FILE_PREFIX):
        return read_secret_file(expanded.removeprefix(FILE_PREFIX), key)
    return expanded


def _explain_unset(variable: str) -> str:
    return (
        f"{variable} is not set, nor {variable}_FILE; set one, or write ${{{variable}:-default}}, "
        f"or optional = true to do without"
    )
