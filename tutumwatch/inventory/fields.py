"""Which fields of a Tutum object we keep, and what rules call them.

An allow-list: an object holds environment variables, which hold passwords.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

# What rules call a field -> the JSON name that holds it.
SCALARS: Mapping[str, str] = {
    "nickname": "nickname",
    "image": "image_name",
    "exit_code": "exit_code",
    "exit_code_msg": "exit_code_msg",
    "running": "running_num_containers",
    "target": "target_num_containers",
    "update_state": "update_state",  # of our bridge alone
    "host": "external_fqdn",
    "region": "region",
}
LABELS = "labels"
FIELDS = frozenset({*SCALARS, LABELS})
_STATE = ("state",)
NAMES = ("name", "nickname", "external_fqdn")
# A parent's JSON name in an object. A container's object leaves out its stack and node cluster.
PARENTS = ("object", "service", "stack", "node", "node_cluster")
PARENTS_INCOMPLETE = frozenset({"container"})
# All that an object is read for.
READ = frozenset({*SCALARS.values(), LABELS, *NAMES, *PARENTS, "state", "resource_uri"})
VALUE_MAX_CHARS = 512
LABELS_MAX_COUNT = 64


@attrs.frozen
class ObjectFacts:
    """What a Tutum object says, as far as we keep it."""

    name: str | None
    state: str | None
    parents: tuple[str, ...]
    fields: Mapping[str, Any]


def without_unread(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give a Tutum object's JSON without what is never read, as what we look up is written down."""
    return {name: value for name, value in fields.items() if name in READ}


def read_object(fields: Mapping[str, Any]) -> ObjectFacts:
    """Take from a Tutum object's JSON what rules may read; anything odd is left out."""
    # Written out, because our bridge sends an object along with every event.
    kept: dict[str, Any] = {}
    for name, source in SCALARS.items():
        value = fields.get(source)
        if isinstance(value, str):
            if value:
                kept[name] = value[:VALUE_MAX_CHARS]
        elif isinstance(value, int | float):
            kept[name] = value
    labels = fields.get(LABELS)
    if isinstance(labels, dict):
        kept[LABELS] = _read_labels(labels) if labels else {}
    return ObjectFacts(
        name=next(_texts(fields, NAMES), None),
        state=next(_texts(fields, _STATE), None),
        parents=tuple(_texts(fields, PARENTS)),
        fields=kept,
    )


def _read_labels(labels: Mapping[str, Any]) -> dict[str, str]:
    return {
        key[:VALUE_MAX_CHARS]: str(value)[:VALUE_MAX_CHARS]
        for key, value in list(labels.items())[:LABELS_MAX_COUNT]
        if isinstance(value, str | bool | int | float)
    }


def _texts(fields: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = fields.get(name)
        if value and isinstance(value, str):
            yield value[:VALUE_MAX_CHARS]
