"""The four functions of the tutorial of 2015, for scripts that still call them.

They behave as theirs did, except that each returns a Deferred instead of blocking, and so needs a
running reactor. What is missing or not understood raises ValueError at once, before anything is
sent; a call that got no answer fails its Deferred with ConnectionError. Nothing is tried again: it
is tutumwatch itself, not these functions, that keeps promises of delivery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import cast

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.config.environment import Environment
from tutumwatch.config.tutum import find_credentials, find_rest_url
from tutumwatch.events.event import Rejected, decode_event
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.http import DEADLINE_SECONDS, NoResponse, Request, Response, Web
from tutumwatch.notifiers import pagerduty, slack
from tutumwatch.notifiers.console import escape_control
from tutumwatch.notifiers.contract import encode_json
from tutumwatch.notifiers.statuses import said_by
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.resources.client import REFUSED, ResourceClient
from tutumwatch.rules.verbs import past
from tutumwatch.secret import Secret, blot_out

OK_STATUS = 200
SAID_MAX_CHARS = 1000
DEFAULT_DESCRIPTION = "Tutum Stream Issue"
DEFAULT_TEXT = "You received a message from Tutum Stream!"

_log = Logger()


def pagerduty_event(
    event_type: str = "trigger",
    incident_key: str | None = None,
    description: str | None = None,
    client: str | None = None,
    client_url: str | None = None,
    service_key: str | None = None,
) -> Deferred[int]:
    """Send an event to PagerDuty (Events API v1), log its answer, and give the HTTP status.

    :param event_type: "trigger", "acknowledge" or "resolve".
    :param service_key: the integration key; without it ``PAGERDUTY_KEY`` is taken.
    :raises ValueError: if there is no key, or ``PAGERDUTY_URL`` is no URL.
    """
    environment = Environment.of_process()
    key = service_key or environment.get("PAGERDUTY_KEY")
    if key is None:
        message = "no service key: give service_key, or set PAGERDUTY_KEY"
        raise ValueError(message)
    host = environment.get("PAGERDUTY_URL") or pagerduty.HOST
    require_http_url("PAGERDUTY_URL", host)
    given = {"incident_key": incident_key, "client": client, "client_url": client_url}
    body = {
        "service_key": key,
        "event_type": event_type,
        "description": description or DEFAULT_DESCRIPTION,
    } | {name: value for name, value in given.items() if value}
    url = Secret(host.rstrip("/") + pagerduty.PATHS["v1"])
    return Deferred.fromCoroutine(_send_event(_post(url, body, Secret(key))))


async def _send_event(request: Request) -> int:
    answer = await _call(request)
    if answer.status == OK_STATUS:
        _log.info("PagerDuty answered {status}", status=answer.status)
    else:
        said = pagerduty.cut(_explain_error(answer), SAID_MAX_CHARS)
        _log.error("PagerDuty answered {status}: {said}", status=answer.status, said=said)
    return answer.status


class _Problem(msgspec.Struct):
    """``{"status": "invalid event", "message": "Event object is invalid", "errors": [...]}``.

    The tutorial's time had code, message and errors in an object ``error``.
    """

    code: int | str = ""
    status: str = ""
    message: str = ""
    errors: list[str] = msgspec.field(default_factory=list)
    error: _Problem | None = None


def _explain_error(answer: Response) -> str:
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return said_by(answer)
    problem = problem.error or problem
    parts = (str(problem.code or problem.status), problem.message, ", ".join(problem.errors))
    return escape_control("; ".join(part for part in parts if part)) or said_by(answer)


def post_slack(text: str | None = None, slack_url: str | None = None) -> Deferred[int]:
    """Post a text to a Slack webhook as it is, and give the HTTP status.

    :param text: Slack's markup in it works, so escape what others wrote.
    :param slack_url: the incoming webhook; without it ``SLACK_URL`` is taken.
    :raises ValueError: if there is no URL, or it is none.
    """
    url = slack_url or Environment.of_process().get("SLACK_URL")
    if url is None:
        message = "no Slack URL: give slack_url, or set SLACK_URL"
        raise ValueError(message)
    require_http_url("slack_url" if slack_url else "SLACK_URL", url)
    said = slack.cut_escaped(text or DEFAULT_TEXT, slack.TEXT_MAX_CHARS)
    return Deferred.fromCoroutine(_send_text(_post(Secret(url), {"text": said})))


async def _send_text(request: Request) -> int:
    answer = await _call(request)
    if answer.status != OK_STATUS:
        _log.error("Slack answered {said}", said=said_by(answer))
    return answer.status


def generic_slack(message: str | bytes) -> Deferred[int]:
    """Post to Slack what happened to which resource, and give the HTTP status.

    :param message: an event as the stream sent it: ``{"type": "container", ...}``.
    :raises ValueError: if it is no event, or ``SLACK_URL`` is not set.
    """
    match decode_event(message.encode() if isinstance(message, str) else message):
        case Rejected(reason=reason):
            problem = f"this is no event of the stream: {reason}"
            raise ValueError(problem)
        case event:
            happened = (event.type, past(event.action), event.resource_uri or "")
    type_, action, uri = map(slack.escape_mrkdwn, happened)
    return post_slack(f"Your {type_} was {action} on Tutum!\nCheck {uri} to see more details.")


def get_resource(resource_uri: str) -> Deferred[str]:
    """Ask the REST API for a resource and give the answer's text, unparsed, whatever its status.

    Host and credentials are those of the environment. The tutorial put any resource_uri behind
    the host's name; only ``/api/v1/<type>/<uuid>/`` and its like are asked for here.

    :raises ValueError: if this is no resource_uri, or there are no credentials.
    """
    environment = Environment.of_process()
    if parse_resource_uri(resource_uri) is None:
        message = f"{resource_uri[:100]!r} {REFUSED}"
        raise ValueError(message)
    base, credentials = find_rest_url(environment), find_credentials(environment)
    return Deferred.fromCoroutine(_fetch(resource_uri, base, credentials.headers()))


async def _fetch(resource_uri: str, base: str, headers: Mapping[str, Secret]) -> str:
    answer = await _answer(
        lambda web: Deferred.fromCoroutine(
            ResourceClient(web, base, headers).fetch(resource_uri, DEADLINE_SECONDS)
        )
    )
    return answer.body.decode("utf-8", "replace")


def _post(url: Secret, body: object, *secrets: Secret) -> Request:
    headers = {"Content-Type": "application/json"}
    return Request("POST", url, headers, encode_json(body), secrets=secrets)


async def _call(request: Request) -> Response:
    answer = await _answer(lambda web: web.send(request, DEADLINE_SECONDS))
    said = blot_out(answer.body, (request.url, *request.secrets))
    return attrs.evolve(answer, body=said)


async def _answer(call: Callable[[Web], Deferred[Response | NoResponse]]) -> Response:
    """Make one call, and leave no connection behind."""
    from twisted.internet import reactor

    web = Web.over_sockets(cast("IReactorTime", reactor), time.time)
    try:
        answer = await call(web)
    finally:
        await web.close()
    if isinstance(answer, NoResponse):
        raise ConnectionError(answer.sentence)
    return answer
