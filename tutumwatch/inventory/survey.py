"""What is watched, in a sentence for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tutumwatch.inventory.health import Children, wellness_of
from tutumwatch.inventory.resource import Key, Resource

COUNTED_TYPES = ("stack", "service", "node")
# Not the stacks: one that is ill is so because a service of it is, which is named with it.
NAMED_TYPES = frozenset({"service", "node"})
NAMED_MAX_COUNT = 10


def survey(resources: Iterable[Resource], names: Mapping[Key, str]) -> str:
    """Say what there is and what of it is not well.

    As in ``watching 3 stacks, 12 services, 2 nodes; not healthy: shop/web``.

    :param names: of the stacks, by key.
    """
    counts: Counter[str] = Counter()
    ill: list[str] = []
    known = list(resources)
    children = _children_in(known)
    for resource in known:
        counts[resource.type] += 1
        if resource.type in NAMED_TYPES:
            wellness = wellness_of(resource, children)
            if wellness is not None and wellness.is_ill:
                ill.append(full_name(resource, names))
    parts = [_counted(counts[type_], type_) for type_ in COUNTED_TYPES]
    line = f"watching {', '.join(parts)}"
    return f"{line}; not healthy: {list_names(sorted(ill))}" if ill else line


def _children_in(resources: Iterable[Resource]) -> Children:
    children: dict[Key, list[Resource]] = {}
    for resource in resources:
        for parent in resource.parent_keys():
            children.setdefault(parent, []).append(resource)
    return lambda key: children.get(key, ())


def full_name(resource: Resource, names: Mapping[Key, str]) -> str:
    """Give ``stack/service`` for a service of a stack, the name of anything else."""
    own = resource.name or resource.uri or resource.key[2]
    stack = next((names[k] for k in resource.parent_keys() if k in names), None)
    return f"{stack}/{own}" if resource.type == "service" and stack else own


def list_names(names: list[str]) -> str:
    """Write names one after the other, at most ten of them."""
    more = len(names) - NAMED_MAX_COUNT
    shown = ", ".join(names[:NAMED_MAX_COUNT])
    return f"{shown} and {more} more" if more > 0 else shown


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def in_words(seconds: float) -> str:
    """Write a length of time: ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
