"""The lists of the REST API: filters, paging, and the path of the next page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlencode

import attrs

# A limit of 0 asks for as many as possible.
LIMIT_DEFAULT, LIMIT_FOR_ZERO = 25, 1_000
NUMBER_MAX_CHARS = 9

Object: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Object], bool]


class BadQueryError(ValueError):
    """A query that cannot be answered; says which parameter and why."""


_PLAIN = {
    "stack": {"uuid", "state", "name"},
    "service": {"uuid", "state", "name", "stack"},
    "container": {"uuid", "state", "name", "service", "stack", "node"},
    "nodecluster": {"uuid", "state", "name", "region", "node_type"},
    "node": {"uuid", "state", "node_cluster", "region", "node_type", "docker_version"},
    "action": {"uuid", "state", "object"},
}
_DATES = {"start_date__gte", "start_date__lte", "end_date__gte", "end_date__lte"}
_PAGING, _CREDENTIALS = {"limit", "offset"}, {"auth", "token", "user"}
# Clients of the time ask for JSON in this way; there is nothing else.
_NO_FILTERS = {"format", *_PAGING, *_CREDENTIALS}
_CLOUD_PREFIX = re.compile(r"/api/(?:app|infra|audit)/v1/")


def read_query(text: str) -> dict[str, str]:
    """Read a query; of a parameter that is doubled, the last counts."""
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


@attrs.frozen
class Lists:
    """Answers list queries.

    :param find: gives the object at a resource_uri, or None.
    """

    _find: Callable[[str], Object | None]

    def answer(
        self, type_: str, path: str, objects: Iterable[Object], query: Mapping[str, str]
    ) -> dict[str, Any]:
        """Give one page of the objects that a query selects.

        :param path: of the list, for ``next`` and ``previous``.
        :raises BadQueryError: for a parameter that is unknown or has no sense.
        """
        limit = _number(query, "limit", LIMIT_DEFAULT) or LIMIT_FOR_ZERO
        offset = _number(query, "offset", 0)
        tests = list(self._tests(type_, query))
        found = [o for o in objects if all(test(o) for test in tests)]
        after, before = offset + limit, max(0, offset - limit)
        meta = {
            "limit": limit,
            "offset": offset,
            "next": _page(path, query, limit, after) if after < len(found) else None,
            "previous": _page(path, query, limit, before) if offset else None,
            "total_count": len(found),
        }
        return {"meta": meta, "objects": found[offset:after]}

    def _tests(self, type_: str, query: Mapping[str, str]) -> Iterable[Test]:
        for name, value in query.items():
            if name == "include_related" and type_ == "action":
                continue  # says how `object` is meant
            if name not in _NO_FILTERS:
                yield self._test(type_, name, value, query)

    def _test(self, type_: str, name: str, value: str, query: Mapping[str, str]) -> Test:
        wanted = _CLOUD_PREFIX.sub("/api/v1/", value, count=1)
        match type_, name:
            case "action", "object" if query.get("include_related", "").lower() in {"true", "1"}:
                related = self._related_to(wanted)
                return lambda o: o["object"] in related
            case _ if name in _PLAIN[type_]:
                return lambda o: o[name] == wanted
            case _, "uuid__startswith":
                return lambda o: o["uuid"].startswith(value)
            case "service", "stack__name":
                return lambda o: self._name_at(o["stack"]) == value
            case "container", "service__stack__name":
                return lambda o: self._name_at(o["stack"]) == value
            case "action", _ if name in _DATES:
                return _date_test(name, value)
            case _:
                raise BadQueryError(f"{name!r} is no filter of {type_}")

    def _name_at(self, uri: str | None) -> str | None:
        found = self._find(uri) if uri else None
        return None if found is None else found["name"]

    def _related_to(self, uri: str) -> set[str]:
        """Give the resource_uris of an object and of what belongs to it."""
        found = self._find(uri) or {}
        related = {uri}
        related |= {found[key] for key in ("service", "stack", "node_cluster") if found.get(key)}
        for key in ("services", "containers", "nodes"):
            related |= set(found.get(key, ()))
        for service in found.get("services", ()):
            related |= set((self._find(service) or {}).get("containers", ()))
        return related


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_MAX_CHARS):
        raise BadQueryError(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def _date_test(name: str, value: str) -> Test:
    field, _, operator = name.partition("__")
    wanted = _read_date(name, value)

    def test(o: Object) -> bool:
        if o[field] is None:
            return False
        found = parsedate_to_datetime(o[field])
        return found >= wanted if operator == "gte" else found <= wanted

    return test


def _read_date(name: str, value: str) -> datetime:
    """Read a date in the field's own form, or in that of ISO 8601."""
    # The "+" of an offset, when it is not encoded, arrives as a space.
    for text in (value, re.sub(r" (?=\d\d:?\d\d$)", "+", value)):
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            with suppress(ValueError):
                date = read(text)
                return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    raise BadQueryError(f"{name}: {value[:40]!r} is no date")


def _page(path: str, query: Mapping[str, str], limit: int, offset: int) -> str:
    """Give the path of a page: never a whole URL, with every filter, without credentials."""
    kept = {n: v for n, v in query.items() if n not in _PAGING | _CREDENTIALS}
    return f"{path}?{urlencode({**kept, 'limit': limit, 'offset': offset})}"
