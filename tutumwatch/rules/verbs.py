"""Spells verbs right for sentences about what happened."""

from __future__ import annotations

import re

# Past participles that no ending makes. A verb may carry one of these before it: rebuild, undo.
_IRREGULAR: dict[str, str] = dict(
    re.findall(
        r"(\w+):(\w+)",
        "begin:begun bind:bound build:built do:done exec:executed find:found freeze:frozen get:got "
        "give:given hold:held know:known lose:lost make:made put:put read:read run:run see:seen "
        "send:sent set:set shut:shut split:split take:taken tell:told write:written",
    )
)
_PREFIXES = ("re", "un", "over")
# One syllable that ends in one consonant after one vowel doubles it: stop, drop, plug, tag.
_DOUBLES = re.compile(r"(?:[^aeiou]|qu)+[aeiou][bdgklmnprtz]|(?:ad|com|e|o|per|sub|trans)mit")


def past(verb: str) -> str:
    """Put a verb into the form that "was" goes with: created, stopped, deployed, run."""
    lower = verb.lower()
    prefix = next((p for p in _PREFIXES if lower.startswith(p)), "")
    for before in dict.fromkeys(("", prefix)):
        stem = lower.removeprefix(before)
        if stem in _IRREGULAR:
            return verb[: len(before)] + _IRREGULAR[stem]
        if _DOUBLES.fullmatch(stem):
            return f"{verb}{verb[-1]}ed"
    if not lower or lower.endswith("ed"):
        return verb
    if lower.endswith("e"):
        return f"{verb}d"
    if lower.endswith("y") and lower[-2:-1] not in set("aeiou"):
        return f"{verb[:-1]}ied"
    return f"{verb}ed"
