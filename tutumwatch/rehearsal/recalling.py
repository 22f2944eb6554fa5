"""Finds an event in a journal, and what was known when it came."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import attrs

from tutumwatch.config.plans import Configuration
from tutumwatch.events.event import Rejected, decode_event
from tutumwatch.events.inputs import Input, Message
from tutumwatch.outbox.store import Restored
from tutumwatch.rehearsal.situation import decider_of
from tutumwatch.rules.decider import Decider

# So much of what came before an event tells how things were then; the rest is as it is now.
EARLIER_MAX_COUNT = 10_000


@attrs.frozen
class Recalled:
    """An event of the journal, and the inputs before it, oldest first."""

    message: Message
    earlier: tuple[Input, ...]


def recall(inputs: Iterable[Input], wanted: str) -> Recalled | None:
    """Find an event by its uuid, or by its number; None if it is not there.

    :param inputs: the last first.
    """
    remaining = iter(inputs)
    for item in remaining:
        if isinstance(item, Message) and _is(item, wanted):
            earlier = list(islice(remaining, EARLIER_MAX_COUNT))
            return Recalled(item, tuple(reversed(earlier)))
    return None


def _is(message: Message, wanted: str) -> bool:
    if wanted == str(message.number):
        return True
    # Decoding all that a journal holds would take long.
    if wanted.encode() not in message.payload:
        return False
    event = decode_event(message.payload)
    return not isinstance(event, Rejected) and event.uuid == wanted


def decider_before(configuration: Configuration, restored: Restored, recalled: Recalled) -> Decider:
    """Give a decider that knows the resources as they were before an event.

    Incidents and silences are as they are now: only the present of those is kept.
    """
    number = recalled.message.number
    before = [resource for resource in restored.resources if resource.number < number]
    then = attrs.evolve(restored, resources=before, later=recalled.earlier, last_number=number - 1)
    return decider_of(configuration, then, recalled.message.at)
