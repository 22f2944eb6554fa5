"""Reads the ``[[mutes]]`` tables."""

from __future__ import annotations

from collections.abc import Collection

from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.tables import read_table
from tutumwatch.config.values import describe
from tutumwatch.rules.silences import Mute, MuteSettings, compile_mute

# What stands for a required key that is wrong, so that the rest of the mute is checked as well.
_STAND_INS = {"name": "", "match": {}}


def read_mutes(raw: object, rules: Collection[str], mistakes: Mistakes) -> list[Mute]:
    """Read the array of mutes, of which no two may have one name; what is wrong is noted.

    :param rules: the names of all rules.
    """
    if not isinstance(raw, list):
        mistakes.add(("mutes",), f"expected tables such as [[mutes]], got {describe(raw)}")
        return []
    mutes: list[Mute] = []
    names: set[str] = set()
    for number, table in enumerate(raw):
        place: Place = ("mutes", number)
        settings = read_table(MuteSettings, table, place, mistakes, stand_ins=_STAND_INS)
        if settings is None:
            continue
        name = settings.name
        if table.get("name") == "":
            mistakes.add((*place, "name"), "expected a name")
        if name and name in names:
            mistakes.add((*place, "name"), "another mute has this name; each needs its own", name)
        names.add(name)
        mutes.append(compile_mute(settings, rules, mistakes.reporter(place, name)))
    return mutes
