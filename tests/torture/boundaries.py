"""Where a watcher is killed: each boundary of what it does, by name, and random instants."""

from __future__ import annotations

from enum import Enum

import attrs
import msgspec


class Moment(Enum):
    """When, in regard to a transaction that ran a certain statement, a watcher kills itself."""

    AFTER_STATEMENT = "after the statement"
    BEFORE_COMMIT = "before COMMIT"
    IN_COMMIT = "some microseconds after COMMIT began"
    AFTER_COMMIT = "after COMMIT"
    AT_COPY = "when the file is about to be copied"


class Doom(msgspec.Struct, frozen=True):
    """How a watcher is to kill itself: in the ``number``-th transaction that ran ``statement``.

    ``statement`` is a part of the SQL. ``after_seconds``: how long after COMMIT began.
    ``when_caught_up``: those count that come once the platform has told all that it has, for no
    incident opens before that.
    """

    moment: Moment
    statement: str = ""
    number: int = 1
    after_seconds: float = 0.0
    when_caught_up: bool = False


class Outside(Enum):
    """When a watcher is killed from outside: by a destination, a platform, or at an instant."""

    REQUEST_READ = "when a destination has read a request, before it acts on it"
    REQUEST_ACCEPTED = "when a destination has acted on a request, before it answers"
    REQUEST_ANSWERED = "when the answer to a request is on its way"
    TIMED_OUT = "when a destination has acted a second time on a request that it did not answer"
    LOOK_UP = "when the platform has read a look-up"
    START = "at an instant of the start"
    LOAD = "at an instant under load"
    STOP = "at an instant of the stop"


@attrs.frozen
class Boundary:
    """One kind of place to be killed at.

    ``highest_number``: a kill is at the first to this one of its kind. ``is_old``: the file is of
    the first version when the watcher starts.
    """

    name: str
    kill: Moment | Outside
    statement: str = ""
    highest_number: int = 1
    is_old: bool = False


# Parts of the statements by which a transaction is known; one that no transaction runs any more
# ends the torture with an error, for its watcher is never killed.
PAGE = "INSERT INTO journal"
WAITS = "INSERT OR REPLACE INTO waiting"
SETTLED = "DELETE FROM waiting"
TIMER = "INSERT OR REPLACE INTO records"
BEGUN = "SET state = 2"
ENDED = "FROM deliveries WHERE id = ? AND state = 2"
FAILED = "maybe_sent = maybe_sent OR"
TAKEN_BACK = "maybe_sent = 1 WHERE state = 2"
SAVED = "INTO resources"
SAVED_WHOLLY = "INTO meta"
VERSION_SET = "PRAGMA user_version ="
ALTERED = "ALTER TABLE"

BOUNDARIES = (
    Boundary("before the commit of decisions", Moment.BEFORE_COMMIT, PAGE, 6),
    Boundary("after the commit, before the release", Moment.AFTER_COMMIT, PAGE, 6),
    Boundary("before the commit of what waits for a look-up", Moment.BEFORE_COMMIT, WAITS, 4),
    Boundary("after the commit of what waits for a look-up", Moment.AFTER_COMMIT, WAITS, 4),
    Boundary("when a look-up has arrived", Outside.LOOK_UP),
    Boundary("before the commit of what a look-up settles", Moment.BEFORE_COMMIT, SETTLED, 4),
    Boundary("after the commit of what a look-up settles", Moment.AFTER_COMMIT, SETTLED, 4),
    Boundary("before the commit of an incident's state", Moment.BEFORE_COMMIT, TIMER, 3),
    Boundary("after the commit of an incident's state", Moment.AFTER_COMMIT, TIMER, 3),
    Boundary("before the mark that a request begins", Moment.BEFORE_COMMIT, BEGUN, 6),
    Boundary("after that mark, before the request", Moment.AFTER_COMMIT, BEGUN, 6),
    Boundary("request read, not acted on", Outside.REQUEST_READ),
    Boundary("request accepted, not answered", Outside.REQUEST_ACCEPTED),
    Boundary("request answered", Outside.REQUEST_ANSWERED),
    Boundary("request accepted again after 10 s without an answer", Outside.TIMED_OUT),
    Boundary("before the mark that a request ended", Moment.BEFORE_COMMIT, ENDED, 6),
    Boundary("after the mark that a request ended", Moment.AFTER_COMMIT, ENDED, 6),
    Boundary("before the mark that a request failed", Moment.BEFORE_COMMIT, FAILED, 2),
    Boundary("after the mark that a request failed", Moment.AFTER_COMMIT, FAILED, 2),
    Boundary("before the interrupted are taken back", Moment.BEFORE_COMMIT, TAKEN_BACK),
    Boundary("after the interrupted are taken back", Moment.AFTER_COMMIT, TAKEN_BACK),
    Boundary("before the commit of a step of a checkpoint", Moment.BEFORE_COMMIT, SAVED, 3),
    Boundary("after the commit of a step of a checkpoint", Moment.AFTER_COMMIT, SAVED, 3),
    Boundary("before the end of a checkpoint", Moment.BEFORE_COMMIT, SAVED_WHOLLY, 3),
    Boundary("after the end of a checkpoint", Moment.AFTER_COMMIT, SAVED_WHOLLY, 3),
    Boundary("while SQLite moves its log into the file", Moment.IN_COMMIT, PAGE, 6),
    Boundary("before the copy of an old file", Moment.AT_COPY, ".v1-", is_old=True),
    Boundary("within a migration", Moment.AFTER_STATEMENT, ALTERED, is_old=True),
    Boundary("before the commit of a migration", Moment.BEFORE_COMMIT, VERSION_SET, is_old=True),
    Boundary("after the commit of a migration", Moment.AFTER_COMMIT, VERSION_SET, is_old=True),
    Boundary("at an instant of the start", Outside.START),
    Boundary("at an instant under load", Outside.LOAD),
    Boundary("at an instant of the stop", Outside.STOP),
)
