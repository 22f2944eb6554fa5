"""All resources that we know, and how an input changes one.

A bounded picture: finished actions leave at once, gone resources after ten minutes or when 10,000
others are gone too, and beyond the cap the least recently seen; a later look-up brings back what is
wanted again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet

import attrs
from msgspec.structs import replace

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import CONNECTED, LINK_TYPES, Link, LinkType, Looked
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.after import after_event, after_looked, shared
from tutumwatch.inventory.deadlines import DEPLOY_DEADLINE_SECONDS, Deadlines
from tutumwatch.inventory.deploys import DONE, FAILED, deploy_ended, deploy_overdue
from tutumwatch.inventory.health import Wellness, wellness_of
from tutumwatch.inventory.links import after_link, caught_up, gone_blind, key_of_link, key_of_stream
from tutumwatch.inventory.resource import Change, ChangeKind, Deploy, Key, Resource, change_of

RESOURCES_MAX_COUNT = 200_000
GONE_KEPT_SECONDS = 600.0
GONE_MAX_COUNT = 10_000


@attrs.define
class Inventory:
    """Every known resource, least recently seen first, with an index from parent to children.

    ``is_needed`` says of a key that it must stay although it was not seen for long (an incident
    is open for it); whoever knows that sets it. Our own connections always stay: no look-up would
    bring them back.
    """

    is_needed: Callable[[Key], bool] = attrs.field(default=lambda _key: False)
    _max_count: int = RESOURCES_MAX_COUNT
    _deploy_deadline_seconds: float = DEPLOY_DEADLINE_SECONDS
    evicted_count: int = 0
    # Ordered dictionaries: taking the first of a plain one is slow once many before it were taken.
    _resources: OrderedDict[Key, Resource] = attrs.field(factory=OrderedDict)
    _gone: OrderedDict[Key, float] = attrs.field(factory=OrderedDict)
    # Nothing is to be forgotten before: asking for the first one on every event takes longer.
    _forget_at: float = math.inf
    _children: dict[Key, set[Key]] = attrs.field(factory=dict)
    _unsaved: set[Key] = attrs.field(factory=set)
    _derived: list[Change] = attrs.field(factory=list)
    _deadlines: Deadlines = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadlines = Deadlines(self._resources, self._deploy_deadline_seconds)

    def __len__(self) -> int:
        """Count the resources that are known."""
        return len(self._resources)

    def get(self, key: Key) -> Resource | None:
        """Give what is known of a resource, or None."""
        return self._resources.get(key)

    def resources(self) -> list[Resource]:
        """Give all resources that are known, our own connections and what is gone among them."""
        return list(self._resources.values())

    def resources_of(self, stream: str) -> Iterator[Resource]:
        """Give the resources that are known of a stream's platform and are not gone."""
        return (
            resource
            for key, resource in self._resources.items()
            if key[0] == stream and key[1] not in LINK_TYPES and resource.gone_at is None
        )

    def children_of(self, key: Key) -> Iterator[Resource]:
        """Give the known resources that name this one as a parent; restarts keep their order."""
        return (self._resources[child] for child in sorted(self._children.get(key, ())))

    def take_unsaved(self) -> dict[Key, Resource | None]:
        """Give what changed since this was asked last; None is known no more."""
        unsaved = {key: self._resources.get(key) for key in self._unsaved}
        self._unsaved.clear()
        return unsaved

    def save_again(self, keys: Iterable[Key]) -> None:
        """Count resources as changed: what was taken could not be saved."""
        self._unsaved.update(keys)

    def save_everything(self) -> None:
        """Count every resource as changed: what was saved is lost."""
        self._unsaved.update(self._resources)

    def restore(self, resources: Iterable[Resource]) -> None:
        """Begin with what was known when we last ran."""
        for resource in sorted(resources, key=lambda r: r.seen):
            self._resources[resource.key] = resource
            self._index(None, resource)
        gone = [r for r in self._resources.values() if r.gone_at is not None]
        for resource in sorted(gone, key=lambda r: r.gone_at or 0.0):
            self._add_gone(resource.key, resource.gone_at or 0.0)
        for resource in self._resources.values():
            if resource.deploy is not None:
                self._deadlines.follow(resource)

    def forget_others(self, streams: AbstractSet[str], notifiers: AbstractSet[str]) -> None:
        """Forget what no stream that is watched, and no notifier that is on, can tell of."""
        for key in list(self._resources):
            is_known = (
                key[2] in notifiers if key[1] == LinkType.NOTIFIER.value else key[0] in streams
            )
            if not is_known:
                self._remove(key)

    def begin_blind(self, since: float) -> None:
        """Know of no stream how it is: we did not run, and have seen nothing since then."""
        for key, known in self._resources.items():
            if key[1] == LinkType.STREAM.value:
                self._resources[key] = gone_blind(known, since)
                self._unsaved.add(key)
        self._deadlines.set_again()

    def catch_up(self, stream: str) -> None:
        """Know that a stream's platform has told, since the last connect, all that it has."""
        key = key_of_stream(stream)
        known = self._resources.get(key)
        if known is not None and known.state == CONNECTED:
            self._resources[key] = caught_up(known)
            self._unsaved.add(key)
            self._deadlines.set_again()

    def set_deploy_deadline(self, seconds: float) -> None:
        """Give every deploy that runs another deadline; what is overdue stays so."""
        self._deadlines.deadline_seconds = seconds
        self._deadlines.set_again()

    def next_due(self) -> float | None:
        """Give when a deploy becomes overdue if nothing is heard of it."""
        return self._deadlines.next_due()

    def tick(self, now: float) -> None:
        """Let deploys that last too long be overdue; :meth:`take_derived` has the changes.

        One of a service from which nothing is expected any more, as of a job that is through, is
        done instead.
        """
        self._derived.clear()
        for key in self._deadlines.take_due(now):
            service = self._resources[key]
            if service.deploy is not None:
                deploy = deploy_overdue(service.deploy)
                if wellness_of(service, self.children_of) is Wellness.ENDED:
                    deploy = deploy_ended(deploy, DONE, now)
                change_id = f"{key[0]}/deploy-{key[2]}-{deploy.state}-{deploy.since}"
                self._derive(change_id, service, deploy, now)

    def take_derived(self) -> list[Change]:
        """Give the changes of other resources that the last input brought about, once.

        The next input forgets those that nobody took.
        """
        derived, self._derived = self._derived, []
        return derived

    def apply_event(
        self, event: Event, change_id: str, stream: str, number: int, at: float
    ) -> Change:
        """Take in an event; an empty state, or parents that are not told, leave what is known.

        An event without a usable resource_uri gives a Change and leaves no trace.
        """
        self._begin(at)
        named = parse_resource_uri(event.resource_uri or "")
        key = (stream, shared(event.type), named.uuid if named is not None else "")
        before = self._resources.get(key)
        after = after_event(before, key, event, number, at)
        if named is not None:
            self._keep(before, after)
        change = change_of(change_id, before, after, event.action, event.date or "")
        if key[1] == "action" and after.has_failed:
            self._fail_deploys(change)
        return change

    def apply_link(self, link: Link, change_id: str) -> Change:
        """Take in the state of a connection of ours: a stream and a notifier are resources."""
        self._begin(link.at)
        before = self._resources.get(key_of_link(link))
        after = after_link(before, link)
        self._keep(before, after)
        if link.type is LinkType.STREAM:
            self._deadlines.set_again()
        return change_of(change_id, before, after)

    def apply_looked(self, looked: Looked, change_id: str) -> Change | None:
        """Take in the answer to a look-up.

        What arrived since it was asked knows better: then the answer only tells name and fields
        that were never told. None if nothing was learned.
        """
        self._begin(looked.at)
        named = parse_resource_uri(looked.resource_uri)
        if named is None:
            return None
        key = (looked.stream, named.type, named.uuid)
        before = self._resources.get(key)
        after = after_looked(before, key, looked)
        if after is None:
            return None
        self._keep(before, after)
        change = change_of(change_id, before, after)
        # Of an action that was not known nobody can tell whether it is of the present deploy.
        if before is not None and after.has_failed:
            self._fail_deploys(change)
        return change

    def _begin(self, at: float) -> None:
        """Let go of what the input before this one left, and of what is gone for long."""
        if self._derived:
            self._derived.clear()
        if at >= self._forget_at:
            self._forget_gone(at)

    def _fail_deploys(self, action: Change) -> None:
        """Let the running deploys of what an action was done to be failed."""
        for key in action.after.parent_keys():
            service = self._resources.get(key)
            if service is None or service.deploy is None or service.gone_at is not None:
                continue
            if service.deploy.goes_on:
                deploy = deploy_ended(service.deploy, FAILED, action.at)
                self._derive(f"{action.id}/deploy-{key[2]}", service, deploy, action.at)

    def _derive(self, change_id: str, before: Resource, deploy: Deploy, at: float) -> None:
        after = replace(before, deploy=deploy)
        self._resources[after.key] = after
        self._unsaved.add(after.key)
        self._deadlines.follow(after)
        changed = frozenset({"deploy"})
        self._derived.append(Change(change_id, ChangeKind.CHANGED, before, after, changed, at))

    def _keep(self, before: Resource | None, after: Resource) -> None:
        key = after.key
        self._unsaved.add(key)
        if key[1] == "action" and after.is_finished:
            if before is not None:
                self._remove(key)
            return
        if before is None:
            self._make_room()
        self._resources[key] = after
        self._resources.move_to_end(key)
        if before is None or before.parents is not after.parents:
            self._index(before, after)
        if after.gone_at is None:
            if before is not None and before.gone_at is not None:
                del self._gone[key]
        elif key not in self._gone:
            self._add_gone(key, after.gone_at)
        if after.deploy is not None:
            self._deadlines.follow(after)

    def _add_gone(self, key: Key, gone_at: float) -> None:
        last = next(reversed(self._gone.values()), gone_at)
        self._gone[key] = gone_at
        if last > gone_at:  # after a restart, or by a clock that was wrong
            self._gone = OrderedDict(sorted(self._gone.items(), key=lambda entry: entry[1]))
        is_full = len(self._gone) > GONE_MAX_COUNT
        self._forget_at = min(
            self._forget_at, -math.inf if is_full else gone_at + GONE_KEPT_SECONDS
        )

    def _index(self, before: Resource | None, after: Resource | None) -> None:
        """Move a resource, which may have been or be nothing, from its old to its new parents."""
        if before is not None:
            for parent in set(before.parent_keys()):
                children = self._children[parent]
                children.discard(before.key)
                if not children:
                    del self._children[parent]
        if after is not None:
            for parent in after.parent_keys():
                self._children.setdefault(parent, set()).add(after.key)

    def _remove(self, key: Key) -> None:
        self._index(self._resources.pop(key), None)
        self._gone.pop(key, None)
        self._deadlines.forget(key)
        self._unsaved.add(key)

    def _forget_gone(self, now: float) -> None:
        while self._gone:
            key, gone_at = next(iter(self._gone.items()))
            self._forget_at = gone_at + GONE_KEPT_SECONDS
            if self._forget_at > now and len(self._gone) <= GONE_MAX_COUNT:
                return
            self._remove(key)
        self._forget_at = math.inf

    def _make_room(self) -> None:
        for _ in range(len(self._resources)):
            if len(self._resources) < self._max_count:
                return
            key = next(iter(self._resources))
            if key[1] in LINK_TYPES or self.is_needed(key):
                self._resources.move_to_end(key)
            else:
                self._remove(key)
                self.evicted_count += 1
