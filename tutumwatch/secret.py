"""Credentials as a type of their own, so that none can be printed by accident."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, urlsplit

import attrs

HIDDEN = "[hidden]"
# Shorter ones are words that anybody may say.
BLOTTED_MIN_CHARS = 8


@attrs.frozen(repr=False, eq=True, hash=True)
class Secret:
    """A credential: an API key, an ``Authorization`` value, a webhook's URL.

    ``str``, ``repr`` and formatting give :data:`HIDDEN`; :meth:`reveal` is the only way out, so
    that a search for ``.reveal()`` lists every place where a credential leaves its wrapping.
    """

    _value: str

    def reveal(self) -> str:
        """Give the credential itself, to be sent to its owner and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        """Hide the credential."""
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        """Hide the credential."""
        return HIDDEN

    def __bool__(self) -> bool:
        """Say whether there is anything in it."""
        return bool(self._value)


def redacted(url: str) -> str:
    """Give a URL that may be logged: scheme, host and port, with everything else left out.

    A Stream URL may carry its token in the query, a webhook's path *is* the credential.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "(unreadable URL)"
    if ":" in host:
        host = f"[{host}]"
    more = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{port}{more}"


def blot_out(said: bytes, secrets: Iterable[Secret]) -> bytes:
    """Take credentials out of what a server said: some repeat the request in their answer.

    A URL counts as one whole, and so do its path and the last part of that.
    """
    for form in _forms(tuple(secrets)):
        said = said.replace(form, HIDDEN.encode())
    return said


# The same few credentials are looked for in every answer.
@lru_cache(maxsize=64)
def _forms(secrets: tuple[Secret, ...]) -> tuple[bytes, ...]:
    """Give all that a server may have made of some credentials, the longest first."""
    forms = {form for secret in secrets for part in _parts(secret) for form in _written(part)}
    return tuple(form.encode() for form in sorted(forms, key=len, reverse=True))


def _parts(secret: Secret) -> Iterator[str]:
    whole = secret.reveal()
    _, is_url, rest = whole.partition("://")
    path = rest.partition("/")[2]
    parts = (whole, path, path.rpartition("/")[2]) if is_url else (whole,)
    yield from (part for part in parts if len(part) >= BLOTTED_MIN_CHARS)


def _written(text: str) -> Iterator[str]:
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    for form in (text, in_json, in_json.replace("/", "\\/"), repr(text)[1:-1]):
        yield from (form, html.escape(form))
    yield from (quote(text), quote(text, safe=""), base64.b64encode(text.encode()).decode())
