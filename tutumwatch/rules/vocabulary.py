"""The fields that matchers and texts may name, and help for those who mistype one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeAlias

from tutumwatch.inventory.fields import FIELDS

Path: TypeAlias = tuple[str, ...]

OWN_FIELDS = frozenset(
    {"type", "action", "kind", "state", "name", "resource_uri", "uuid", "parents", "stream"}
    | {"changed", "date", "reason", *FIELDS}
)
PARENT_TYPES = frozenset({"service", "stack", "node", "nodecluster"})
PARENT_FIELDS = frozenset({"state", "name", "resource_uri", "uuid", *FIELDS})
BEFORE_FIELDS = frozenset({"state", "name", "parents", *FIELDS})
# Spelled exactly so by the platform; a rule may write them in any case.
STATES = frozenset(
    {"Not Running", "Starting", "Running", "Partly running", "Stopping", "Stopped", "Redeploying"}
    | {"Terminating", "Terminated", "Scaling", "Init", "Deploying", "Deployed", "Empty cluster"}
    | {"Partly deployed", "Unreachable", "Upgrading", "Pending", "In progress", "Canceling"}
    | {"Canceled", "Success", "Failed", "Connected", "Disconnected", "Unauthorized"}
    | {"Delivering", "Failing", "Refused"}
)
TYPES = frozenset(
    {"stack", "service", "container", "node", "nodecluster", "action", "stream", "notifier"}
    | {"auth", "error", "user-notifications"}
)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Give ``" (did you mean 'x'?)"``, or nothing where no known word is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def field_of(path: Path) -> Path | None:
    """Give the field that a dotted path begins with, or None if there is no such field.

    ``("state", "upper")`` begins with the field ``state``; ``("labels", "job")`` is a label.
    """
    match path:
        case ("labels", label, *_):
            return ("labels", label)
        case ("before", name, *rest) if name in BEFORE_FIELDS:
            return ("before", *(field_of((name, *rest)) or (name,)))
        case (parent, name, *rest) if parent in PARENT_TYPES and name in PARENT_FIELDS:
            return (parent, *(field_of((name, *rest)) or (name,)))
        case (name, *_) if name in OWN_FIELDS:
            return (name,)
        case _:
            return None


def explain_unknown(path: Path) -> str:
    """Say that there is no such field, with the nearest one."""
    written = ".".join(path)
    known = OWN_FIELDS | {f"{p}.{f}" for p in PARENT_TYPES for f in PARENT_FIELDS}
    known |= {f"before.{f}" for f in BEFORE_FIELDS}
    return f"{written!r} is no known field{suggestion(written, known)}"
