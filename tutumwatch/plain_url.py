"""URLs that are sent as they are written: treq would take each apart, for every request."""

from __future__ import annotations

import re
from typing import TypeAlias

from hyperlink import EncodedURL

URL: TypeAlias = str | EncodedURL
"""What treq takes as a URL."""

# RFC 3986 without user information, IPv6 and capitals in the host: nothing in it must be encoded.
_PLAIN = re.compile(
    r"https?://[a-z0-9.-]+(:[0-9]+)?/([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII
)


class PlainURL(EncodedURL):
    """A URL of plain ASCII; of what hyperlink can do, it does only what treq asks for."""

    __slots__ = ("_written",)

    def __init__(self, written: str) -> None:
        self._written = written

    def to_uri(self) -> PlainURL:
        """Give itself: nothing is to be encoded."""
        return self

    def to_text(self, with_password: bool = False) -> str:  # noqa: FBT001, FBT002 - hyperlink's
        """Give it as it is written."""
        return self._written

    def __repr__(self) -> str:
        """Say nothing of it: it may hold a credential."""
        return "PlainURL()"


def as_plain_url(written: str) -> URL:
    """Give what treq need not take apart, if that is so."""
    return PlainURL(written) if _PLAIN.fullmatch(written) else written
