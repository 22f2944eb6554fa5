"""What is watched, in a sentence for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tutumwatch.inventory.health import wellness_of
from tutumwatch.inventory.resource import Key, Resource

COUNTED_TYPES = ("stack", "service", "node")
NAMED_MAX_COUNT = 10


def survey(resources: Iterable[Resource], names: Mapping[Key, str]) -> str:
    """Say what there is and what of it is not well.

    As in ``watching 3 stacks, 12 services, 2 nodes; not healthy: shop/web``.

    :param names: of the stacks, by key.
    """
    counts: Counter[str] = Counter()
    ill: list[str] = []
    for resource in resources:
        counts[resource.type] += 1
        wellness = wellness_of(resource)
        if resource.type in COUNTED_TYPES and wellness is not None and wellness.is_ill:
            ill.append(full_name(resource, names))
    parts = [_counted(counts[type_], type_) for type_ in COUNTED_TYPES]
    line = f"watching {', '.join(parts)}"
    return f"{line}; not healthy: {list_names(sorted(ill))}" if ill else line


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
