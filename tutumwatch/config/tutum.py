"""The Tutum API as the environment gives it: where it is, and credentials for it.

The variables are those of the tutorial of 2015 and of the official SDK.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tutumwatch.config.environment import Environment
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import PUBLIC_REST_URL, PUBLIC_STREAM_URL
from tutumwatch.stream.urls import require_stream_url

NO_CREDENTIALS = (
    "Please provide authentication credentials: set TUTUM_AUTH, or TUTUM_USERNAME and TUTUM_TOKEN, "
    "or TUTUM_USER and TUTUM_APIKEY (each also as NAME_FILE), or write ~/.tutum"
)
# In this order; the first complete source wins. (user, keys)
_PAIRS = (("TUTUM_USERNAME", ("TUTUM_TOKEN",)), ("TUTUM_USER", ("TUTUM_APIKEY", "TUTUM_PASS")))
_API_PATH = re.compile(r"/api(/app|/infra|/audit)?/v\d+$")


def find_stream_url(environment: Environment) -> str:
    """Give the URL of the stream: TUTUM_STREAM_URL, else TUTUM_STREAM_HOST, else the public one.

    Either may be scheme and host, the base that the SDK knew (``wss://host/v1/``), or the whole.

    :raises ValueError: naming the variable, if it holds no such URL.
    """
    for name in ("TUTUM_STREAM_URL", "TUTUM_STREAM_HOST"):
        url = environment.get(name)
        if url is not None:
            require_stream_url(name, url)
            return _with_events(url)
    return PUBLIC_STREAM_URL


def _with_events(url: str) -> str:
    base = url.rstrip("/")
    if base.endswith("/events"):
        return url
    return f"{base}/events" if urlsplit(base).path else f"{base}/v1/events"


def find_rest_url(environment: Environment) -> str:
    """Give scheme and host of REST: TUTUM_BASE_URL, else TUTUM_REST_HOST, else the public ones.

    :raises ValueError: naming the variable, if it holds no such URL.
    """
    for name in ("TUTUM_BASE_URL", "TUTUM_REST_HOST"):
        url = environment.get(name)
        if url is not None:
            return read_rest_url(name, url)
    return PUBLIC_REST_URL


def read_rest_url(key: str, url: str) -> str:
    """Give scheme and host of a REST API; the path that the SDK's setting had is taken off.

    :raises ValueError: naming the key, if this is no such URL.
    """
    require_http_url(key, url)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        message = f'{key}: no "?" or "#" in it; scheme and host will do'
        raise ValueError(message)
    return _API_PATH.sub("", url.rstrip("/"))


def find_credentials(environment: Environment) -> Credentials:
    """Find credentials in the order that is documented; the first complete source wins.

    :raises ValueError: naming the variable, for half a pair; or saying how to provide some.
    """
    whole = environment.get("TUTUM_AUTH")
    if whole is not None:
        return _named("TUTUM_AUTH", lambda: Credentials.from_header(whole))
    for user_name, key_names in _PAIRS:
        pair = _pair(environment, user_name, key_names)
        if pair is not None:
            return pair
    return _from_file(environment.home / ".tutum")


def _pair(
    environment: Environment, user_name: str, key_names: tuple[str, ...]
) -> Credentials | None:
    user = environment.get(user_name)
    keys = ((name, environment.get(name)) for name in key_names)
    key_name, key = next(((n, k) for n, k in keys if k is not None), (key_names[0], None))
    if user is None and key is None:
        return None
    if user is None or key is None:
        there, missing = (key_name, user_name) if user is None else (user_name, key_name)
        message = f"{there} is set but {missing} is not; set both, or unset it"
        raise ValueError(message)
    return _named(user_name, lambda: Credentials.from_pair(user, key))


def _from_file(path: Path) -> Credentials:
    """Read the file of the official SDK: section ``[auth]``, ``basic_auth`` or the pair."""
    section = _auth_section(path)
    if section.get("basic_auth"):
        return _named(str(path), lambda: Credentials.from_header(f"Basic {section['basic_auth']}"))
    if section.get("user") and section.get("apikey"):
        return _named(str(path), lambda: Credentials.from_pair(section["user"], section["apikey"]))
    message = f"{path}: section [auth] needs basic_auth, or user and apikey. {NO_CREDENTIALS}"
    raise ValueError(message)


def _auth_section(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(NO_CREDENTIALS) from None
    except OSError as problem:
        message = f"{path}: cannot be read: {problem.strerror}"
        raise ValueError(message) from None
    except (configparser.Error, UnicodeDecodeError) as problem:
        # Their messages quote the file, which may hold the key.
        message = f"{path}: no INI file ({type(problem).__name__})"
        raise ValueError(message) from None
    return dict(parser["auth"]) if parser.has_section("auth") else {}


def _named(name: str, make: Callable[[], Credentials]) -> Credentials:
    try:
        return make()
    except ValueError as problem:
        message = f"{name}: {problem}"
        raise ValueError(message) from None
