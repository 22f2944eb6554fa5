"""Which fields of a Tutum object we keep, and what rules call them.

An allow-list: an object holds environment variables, which hold passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

# What rules call a field -> the JSON names that may hold it; the first that is set wins.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "nickname": ("nickname",),
    "image": ("image_name",),
    "exit_code": ("exit_code",),
    "exit_code_msg": ("exit_code_msg",),
    "running": ("running_num_containers",),
    "target": ("target_num_containers",),
    "labels": ("labels",),
    "host": ("external_fqdn",),
    "region": ("region",),
}
NAMES = ("name", "nickname", "external_fqdn")
# A parent's JSON name in an object. A container's object leaves out its stack and node cluster.
PARENTS = ("object", "service", "stack", "node", "node_cluster")
PARENTS_INCOMPLETE = frozenset({"container"})
VALUE_MAX_CHARS = 512
LABELS_MAX_COUNT = 64


@attrs.frozen
class ObjectFacts:
    """What a Tutum object says, as far as we keep it."""

    name: str | None
    state: str | None
    parents: tuple[str, ...]
    fields: Mapping[str, Any]


def read_object(fields: Mapping[str, Any]) -> ObjectFacts:
    """Take from a Tutum object's JSON what rules may read; anything odd is left out."""
    kept = {}
    for name, sources in FIELDS.items():
        value = next((v for s in sources if (v := _bounded(fields.get(s))) is not None), None)
        if value is not None:
            kept[name] = value
    return ObjectFacts(
        name=next((v for n in NAMES if (v := _text(fields.get(n)))), None),
        state=_text(fields.get("state")),
        parents=tuple(v for p in PARENTS if (v := _text(fields.get(p)))),
        fields=kept,
    )


def _text(value: object) -> str | None:
    return value[:VALUE_MAX_CHARS] if isinstance(value, str) and value else None


def _bounded(value: object) -> object | None:
    """Keep a scalar, or a mapping of labels; cut what is overlong."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        pairs = list(value.items())[:LABELS_MAX_COUNT]
        return {str(k)[:VALUE_MAX_CHARS]: str(v)[:VALUE_MAX_CHARS] for k, v in pairs}
    return _text(value)
