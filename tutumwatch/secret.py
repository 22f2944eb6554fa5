"""Credentials as a type of their own, so that none can be printed by accident."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

HIDDEN = "[hidden]"


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
