"""Checks of a stream's URL."""

from __future__ import annotations

from urllib.parse import urlsplit


def require_stream_url(key: str, url: str) -> None:
    """Check that a setting is a WebSocket URL without credentials in it; it is not repeated.

    :raises ValueError: naming the key and what is wrong.
    """
    try:
        parts = urlsplit(url)
        # Autobahn reads the host "unix" as the path of a socket.
        names_a_host = bool(parts.hostname) and parts.hostname != "unix"
        usable = parts.scheme in {"ws", "wss"} and names_a_host and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() or not c.isprintable() for c in url):
        message = f"{key}: expected a URL that begins with wss:// (or ws://) and names a host"
        raise ValueError(message)
    if parts.username or parts.password or parts.query or parts.fragment:
        message = f'{key}: no credentials, "?" or "#" in it; use auth, or user and apikey'
        raise ValueError(message)
