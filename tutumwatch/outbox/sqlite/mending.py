"""Tells which rows of a damaged file are what was written, and sets right what can be.

What a checksum covers is proved, and tells what the columns beside it must be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from tutumwatch.outbox.sqlite.codec import (
    DamagedError,
    decode_notice,
    decode_page,
    decode_resource,
    decode_waiting,
    unseal,
)
from tutumwatch.outbox.sqlite.rows import DAMAGED, DEAD, PENDING, SENDING, WAITING
from tutumwatch.rules.decisions import WaitingRow

Row: TypeAlias = Mapping[str, Any]
"""The columns of a row that could be read, by name; in a damaged one each may be anything."""

# No row of ours has a number like this.
_NUMBER_MAX = 2**53


@attrs.define
class Mender:
    """Mends rows, table after table; what waits must come before what is owed."""

    _waiting: dict[str, WaitingRow] = attrs.field(factory=dict)
    _page_bytes: int = 0

    def mend(self, table: str, row: Row) -> Row:
        """Give a row as it was written, or a dead letter in its place.

        :raises DamagedError: if there is nothing to be had from it.
        """
        match table:
            case "waiting":
                waiting = decode_waiting(row["row"])
                self._waiting[waiting.id] = waiting
                return {"id": waiting.id, "row": row["row"]}
            case "deliveries":
                return self._delivery(row)
            case "records":
                unseal(row["value"], row["kind"], row["name"])
                return row
            case "resources":
                stream, type_, uuid = decode_resource(row["resource"]).key
                return {"stream": stream, "type": type_, "uuid": uuid, "resource": row["resource"]}
            case "journal":
                return self._page(row)
            case "meta":
                return _require(row, _is_number(row["value"]) and isinstance(row["name"], str))
            case _:
                texts = (row["notifier"], row["key"], row["value"])
                are_texts = all(isinstance(text, str) for text in texts)
                return _require(row, are_texts and _is_number(row["at"]))

    def _page(self, row: Row) -> Row:
        """Keep a page that is whole; how many bytes there are by then may have changed."""
        decode_page(row["page"], row["number"], row["at"], row["inputs"], row["last_number"])
        self._page_bytes += len(row["page"])
        return {**row, "total": self._page_bytes}

    def _delivery(self, row: Row) -> Row:
        if not 0 < row["id"] < _NUMBER_MAX:
            row = {**row, "id": None}  # it is left to others to find its place
        if row["state"] == WAITING and row["notice"] is None:
            return self._delivery_waiting(row)
        try:
            notice = decode_notice(row["notice"])
        except DamagedError:
            return dead_letter(row)
        state = row["state"]
        return {
            "id": row["id"],
            "head": 0,
            "notifier": notice.notifier,
            "key": notice.key,
            "state": state if state in {SENDING, DEAD} else PENDING,
            "form": notice.form.value,
            "rule": notice.rule,
            "at": notice.at,
            "attempts": _or(row["attempts"], 0),
            "maybe_sent": row["maybe_sent"] != 0,
            "reason": _or(row["reason"], ""),
            "notice": row["notice"],
            "up_seconds": _or(row.get("up_seconds"), 0.0),
        }

    def _delivery_waiting(self, row: Row) -> Row:
        waiting = self._waiting.get(row["waits_for"])
        if waiting is None or row["notifier"] not in waiting.notifiers:
            return dead_letter(row)  # it would wait for ever
        return {
            "id": row["id"],
            "head": 0,
            "notifier": row["notifier"],
            "key": waiting.key,
            "state": WAITING,
            "form": "message",
            "rule": waiting.rule,
            "at": waiting.change.at,
            "waits_for": waiting.id,
        }


def dead_letter(row: Row) -> Row:
    """Give what tells a person that something was owed."""
    return {
        "id": row["id"],
        "head": 0,
        "notifier": _or(row.get("notifier"), ""),
        "key": _or(row.get("key"), ""),
        "state": DEAD,
        "form": _or(row.get("form"), "message"),
        "rule": _or(row.get("rule"), ""),
        "at": _or(row.get("at"), 0.0),
        "reason": DAMAGED,
        "notice": _or(row.get("notice"), None, bytes),
    }


def _or(value: object, default: object, type_: type | None = None) -> object:
    """Give a value if it is of the type that it must be, else another one."""
    return value if isinstance(value, type_ or type(default)) else default


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _require(row: Row, is_right: bool) -> Row:  # noqa: FBT001 - it is what is required
    if not is_right:
        raise DamagedError("it holds what it cannot hold")
    return row
