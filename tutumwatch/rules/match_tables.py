"""Reads the tables of a ``match`` as TOML gives them, in whichever form they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tutumwatch.inventory.fields import LABELS
from tutumwatch.rules.patterns import is_glob, is_negative
from tutumwatch.rules.vocabulary import OWN_FIELDS, PARENT_TYPES, Path, explain_unlikely


def flatten_table(table: Mapping[str, Any], above: Path = ()) -> Iterable[tuple[Path, Any]]:
    """Make dotted keys, nested tables and quoted keys mean the same; a label is one key."""
    for key, value in table.items():
        path = (*above, *key.split("."))
        if isinstance(value, Mapping) and value:
            yield from flatten_table(value, path)
            continue
        if LABELS in path[:-1]:
            label = path.index(LABELS) + 1
            path = (*path[:label], ".".join(path[label:]))
        yield path, value


def explain_word(path: Path, word: object) -> str | None:
    """Say why a field will never hold a word, or hardly ever; None if it may."""
    if not isinstance(word, str) or is_glob(word):
        return None
    if not word and LABELS not in path:
        return f'it is never an empty text; what has no {path[-1]} is matched by "!*"'
    return explain_unlikely(path, word)


def named_types(raw: object) -> set[str] | None:
    """Give the types that a ``type`` pattern names, or None if it leaves others open."""
    patterns = raw if isinstance(raw, list) else [raw]
    words = {p for p in patterns if isinstance(p, str) and not is_negative(p)}
    return None if not words or any(map(is_glob, words)) else words


def suggest_match(key: str) -> str:
    """Say where a field belongs that stands beside a match; nothing of any other key."""
    is_field = key in OWN_FIELDS or key in PARENT_TYPES or key == "before" or "." in key
    return f"; a field belongs into the match: match = {{ {key} = ... }}" if is_field else ""
