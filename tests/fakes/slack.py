"""A fake of Slack's incoming webhooks.

``POST /services/T000/B000/SECRET`` with ``{"text": "..."}`` (or the form field ``payload`` with
the same JSON) is answered 200 and the two bytes ``ok``. Errors are one bare token as text/html.
Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, read 2026-11.

Run it alone with ``python -m tests.fakes.slack [--port N]``.
"""

from __future__ import annotations

import json
import math
import sys
from urllib.parse import parse_qs

import attrs
from twisted.internet.interfaces import IReactorTCP

from tests.fakes.answers import Answer
from tests.fakes.scripted import Received, ScriptedServer
from tests.fakes.standalone import run

# https://docs.slack.dev/reference/methods/chat.postMessage, read 2026-11; longer is cut off.
TEXT_MAX_CHARS = 40_000
# https://docs.slack.dev/reference/block-kit/blocks, read 2026-11.
BLOCKS_MAX_COUNT = 50
SECTION_TEXT_MAX_CHARS = 3_000
HEADER_TEXT_MAX_CHARS = 150
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, read 2026-11.
ATTACHMENTS_MAX_COUNT = 100

_HTML = {"Content-Type": "text/html"}


@attrs.define
class RateLimit:
    """A token bucket: one message a second in the long run, and a short burst above it.

    Slack publishes the rate, not the size of the burst
    (https://docs.slack.dev/apis/web-api/rate-limits, read 2026-11).
    """

    per_second: float = 1.0
    burst_count: int = 5
    _tokens: float = attrs.field(init=False)
    _at: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst_count

    def wait_seconds(self, now: float) -> float:
        """Take a token and return 0, or return how long until there is one."""
        refilled = self._tokens + (now - self._at) * self.per_second
        self._tokens = min(float(self.burst_count), refilled)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.per_second
        self._tokens -= 1
        return 0.0


class FakeSlack(ScriptedServer):
    """An incoming webhook that keeps the texts it accepted, in order, in ``texts``.

    ``payloads`` has the whole decoded messages. ``secret_path`` may be set to any path; every
    other path is ``no_service``. Set ``rate_limit`` to be throttled like by the real one.
    """

    def __init__(self, reactor: IReactorTCP) -> None:
        super().__init__(reactor)
        self.texts: list[str] = []
        self.payloads: list[dict[str, object]] = []
        self.secret_path = "/services/T000/B000/SECRET"
        self.rate_limit: RateLimit | None = None

    @property
    def url(self) -> str:
        """The webhook's URL, which is its only credential."""
        return self.base_url + self.secret_path

    def summary(self) -> str:
        """Say what was received."""
        return f"{super().summary()}; {len(self.texts)} texts, the last: {self.texts[-3:]}"

    def process(self, request: Received) -> Answer:
        """Accept a message, or refuse it with Slack's token for what is wrong."""
        if request.path != self.secret_path:
            return _refusal("no_service", 404)
        if request.method != "POST":
            return _refusal("invalid_payload", 400)
        wait_seconds = self.rate_limit.wait_seconds(request.time) if self.rate_limit else 0.0
        if wait_seconds > 0:
            return Answer.throttled(math.ceil(wait_seconds))
        message = _decoded(request)
        if message is None:
            return _refusal("invalid_payload", 400)
        problem = _problem_of(message)
        if problem is not None:
            return _refusal(problem, 400)
        text = str(message.get("text", ""))[:TEXT_MAX_CHARS]
        self.texts.append(text)
        self.payloads.append(message)
        self.echo(text)
        return Answer(200, "ok", _HTML)


def _refusal(token: str, status: int) -> Answer:
    return Answer(status, token, _HTML)


def _decoded(request: Received) -> dict[str, object] | None:
    try:
        text = request.body.decode()
        if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
            text = parse_qs(text)["payload"][0]
        message = json.loads(text)
    except (ValueError, KeyError):
        return None
    return message if isinstance(message, dict) else None


def _problem_of(message: dict[str, object]) -> str | None:
    text, blocks = message.get("text", ""), message.get("blocks", [])
    attachments = message.get("attachments", [])
    if not isinstance(text, str | int | float) or not isinstance(attachments, list):
        return "invalid_payload"
    if not isinstance(blocks, list) or len(blocks) > BLOCKS_MAX_COUNT:
        return "invalid_blocks"
    if not all(_is_good_block(block) for block in blocks):
        return "invalid_blocks"
    if len(attachments) > ATTACHMENTS_MAX_COUNT:
        return "too_many_attachments"
    if not str(text).strip() and not blocks and not attachments:
        return "no_text"
    return None


def _is_good_block(block: object) -> bool:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    limit_chars = {"section": SECTION_TEXT_MAX_CHARS, "header": HEADER_TEXT_MAX_CHARS}.get(
        block["type"]
    )
    text = block.get("text")
    if limit_chars is None or (text is None and "fields" in block):
        return True
    return isinstance(text, dict) and 0 < len(str(text.get("text", ""))) <= limit_chars


if __name__ == "__main__":
    run(sys.argv[1:], "tests.fakes.slack", FakeSlack, lambda fake: fake.url)
