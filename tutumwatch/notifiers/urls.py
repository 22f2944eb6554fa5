"""Checks of the URLs that a configuration names."""

from __future__ import annotations

from urllib.parse import urlsplit


def require_http_url(key: str, url: str) -> None:
    """Check that a setting is the URL of a server; the URL itself is not repeated.

    :raises ValueError: naming the key and what is missing.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() or not c.isprintable() for c in url):
        message = f"{key}: expected a URL that begins with https:// (or http://) and names a host"
        raise ValueError(message)
    if parts.username or parts.password:
        message = f"{key}: a user and password in the URL are not sent; take them out"
        raise ValueError(message)
