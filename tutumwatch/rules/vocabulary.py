"""The fields that matchers and texts may name, and help for those who mistype one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeAlias

from tutumwatch.inventory.deploys import DEPLOY_STATES, UPDATE_STATES
from tutumwatch.inventory.endings import ENDINGS
from tutumwatch.inventory.fields import FIELDS, LABELS
from tutumwatch.inventory.health import Wellness
from tutumwatch.inventory.resource import ChangeKind

Path: TypeAlias = tuple[str, ...]
"""A dotted name, in parts; ``("labels", "com.example.job")``: a label's name is one of them."""

# What no message says, but follows from all that were said.
DEPLOY_FIELDS = frozenset({"deploy", "image_before", "deploy_time", "deploy_ago"})
DERIVED_FIELDS = frozenset({"health", "ended", *DEPLOY_FIELDS})
OWN_FIELDS = frozenset(
    {"type", "action", "kind", "state", "name", "resource_uri", "uuid", "parents", "stream"}
    | {"changed", "date", "reason", "late", "blind", *FIELDS, *DERIVED_FIELDS}
)
PARENT_TYPES = frozenset({"service", "stack", "node", "nodecluster"})
# No container is a parent, so none has ended.
PARENT_FIELDS = frozenset(
    {"state", "name", "resource_uri", "uuid", "health", *FIELDS, *DEPLOY_FIELDS}
)
BEFORE_FIELDS = frozenset({"state", "name", "parents", *FIELDS, *DERIVED_FIELDS})
_FIELDS_IN = {"before": BEFORE_FIELDS, **dict.fromkeys(PARENT_TYPES, PARENT_FIELDS)}
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
ACTIONS = frozenset({"create", "update", "delete"})
# What a Change can name as changed, and its kinds: there are no others.
CHANGEABLE = frozenset({"state", "name", "parents", "reason", "ended", "deploy", *FIELDS})
KINDS = frozenset(kind.value for kind in ChangeKind)
HEALTHS = frozenset(wellness.value for wellness in Wellness)
_WORDS = {
    "state": STATES,
    "type": TYPES,
    "action": ACTIONS,
    "changed": CHANGEABLE,
    "kind": KINDS,
    "health": HEALTHS,
    "ended": ENDINGS,
    "deploy": DEPLOY_STATES,
    "update_state": UPDATE_STATES,
}
_CLOSED = frozenset({"changed", "kind", "health", "ended", "deploy"})
# What the words of a field are called, where it is not by the field's own name.
_NOUNS = {
    "changed": "field",
    "ended": "way to end",
    "deploy": "state of a deploy",
    "update_state": "state of an update",
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """Give ``" (did you mean 'x'?)"``, or nothing where no known word is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def has_no_case(path: Path) -> bool:
    """Say whether the case of a field's words does not matter: of states it does not."""
    return path[-1] == "state" and LABELS not in path


def explain_unlikely(path: Path, word: str) -> str | None:
    """Say what is wrong with a word that a field will hardly ever hold; None if nothing is.

    New states, types and actions may come: only what very nearly is a known one is a mistake.
    """
    name = path[-1]
    known = _WORDS.get(name)
    if known is None or LABELS in path:
        return None
    lower = {k.lower(): k for k in known}
    if word in known or (has_no_case(path) and word.lower() in lower):
        return None
    likeness = 0.6 if name in _CLOSED else 0.8
    near = get_close_matches(word.lower(), sorted(lower), n=1, cutoff=likeness)
    if not near and name not in _CLOSED:
        return None
    hint = f" (did you mean {lower[near[0]]!r}?)" if near else ""
    return f"{word!r} is no known {_NOUNS.get(name, name)}{hint}"


def parents_in(paths: Iterable[Path]) -> frozenset[str]:
    """Give the types of parents of which some fields are."""
    return frozenset(path[0] for path in paths if path[0] in PARENT_TYPES and len(path) > 1)


def field_of(path: Path) -> Path | None:
    """Give the field that a dotted path begins with, or None if there is no such field.

    ``("state", "upper")`` begins with the field ``state``; ``("labels", "job")`` is a label, and
    ``("labels",)`` no field.
    """
    match path:
        case (scope, name, *rest) if name in _FIELDS_IN.get(scope, ()):
            field = field_of((name, *rest))
            return None if field is None else (scope, *field)
        case (name, *rest) if name == LABELS:
            return (LABELS, rest[0]) if rest else None
        case (name, *_) if name in OWN_FIELDS:
            return (name,)
        case _:
            return None


def explain_unknown(path: Path) -> str:
    """Say that there is no such field, with the nearest one."""
    written = ".".join(path)
    if path[-1] == LABELS and field_of((*path, "job")) is not None:
        return f"{written!r} must name one of the labels, as {written}.job does"
    # Whoever names a parent alone means its name.
    of_parents = PARENT_FIELDS if len(path) > 1 else {"name"}
    known = OWN_FIELDS | {f"{p}.{f}" for p in PARENT_TYPES for f in of_parents}
    known |= {f"before.{f}" for f in BEFORE_FIELDS}
    return f"{written!r} is no known field{suggestion(written, known)}"
