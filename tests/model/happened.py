"""Counts what really happened in all histories of this process: a fault that had no effect is none."""

from __future__ import annotations

from collections import Counter

# Each of these must come often; docs/delivery.md says what follows from it.
FAULTS = (
    "event: new",
    "event: changed",
    "event: same",
    "event: gone",
    "event: repeated by the server",
    "event: without a uuid",
    "event: unseen, the stream was down",
    "stream: lost",
    "stream: back",
    "stream: unauthorized",
    "listing: taken in",
    "look-up: found",
    "look-up: missing",
    "look-up: failed",
    "look-up: late",
    "look-up: never answered",
    "answer: accepted, and then no answer in time",
    "answer: nothing arrived, and no answer in time",
    "answer: accepted, and the connection closed",
    "answer: 500",
    "answer: accepted, and 500",
    "answer: 429 with Retry-After for the destination",
    "answer: 429 with Retry-After for the notice",
    "answer: connection refused",
    "answer: 400",
    "answer: 401",
    "destination: accepts again after 401",
    "credentials: renewed by SIGHUP",
    "disk: a commit failed",
    "disk: a mark or an end of a delivery failed",
    "disk: full, the reserve was given up",
    "disk: streams suspended after 20 s",
    "crash: between two steps",
    "crash: within a transaction",
    "crash: before a commit of decisions",
    "crash: after a commit of decisions",
    "crash: before the mark of a delivery",
    "crash: between mark and request",
    "crash: while a request is under way",
    "crash: between answer and end",
    "crash: after the end of a delivery",
    "crash: at saving the inventory",
    "crash: at the start",
    "stop: clean",
    "restart: the clock an hour back",
    "restart: a timer goes on",
    "restart: a look-up begins anew",
    "person: retried a dead letter",
    "person: dropped a notice",
    "person: silenced something",
    "rules: changed by SIGHUP",
    "restart: under other rules",
)
# What follows from the faults; each must come at all.
OUTCOMES = (
    "delivered",
    "dead",
    "withdrawn",
    "digested",
    "dropped",
    "no match",
    "said again",
    "opened an incident",
    "closed an incident",
    "dropped an orphan",
    "circuit opened",
    "gave up after its time",
    "fell behind its heads",
    "sent in one request",
    "withheld by a silence",
)

HAPPENED: Counter[str] = Counter()


def table(names: tuple[str, ...]) -> str:
    """Write how often each of some things happened."""
    width = max(map(len, names))
    return "\n".join(f"  {name:<{width}}  {HAPPENED[name]:>7,}" for name in names)


def rarer_than(least: int, names: tuple[str, ...]) -> list[str]:
    """Give those of some things that did not happen often enough."""
    return [f"{name}: {HAPPENED[name]}" for name in names if HAPPENED[name] < least]
