"""What the environment sets: variables, files that variables name, and credentials.

Every variable ``NAME`` may instead be given as ``NAME_FILE``, the path of a file that holds it.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import PUBLIC_REST_URL, PUBLIC_STREAM_URL

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")
FILE_PREFIX = "file:"
NO_CREDENTIALS = (
    "Please provide authentication credentials: set TUTUM_AUTH, or TUTUM_USERNAME and TUTUM_TOKEN, "
    "or TUTUM_USER and TUTUM_APIKEY (each also as NAME_FILE), or write ~/.tutum"
)
# In this order; the first complete source wins. (user, keys)
_PAIRS = (("TUTUM_USERNAME", ("TUTUM_TOKEN",)), ("TUTUM_USER", ("TUTUM_APIKEY", "TUTUM_PASS")))


class UnsetError(LookupError):
    """A variable that is needed and not set; its argument is the name."""


@attrs.frozen
class Environment:
    """The environment of this process.

    :param home: where ``.tutum`` is looked for.
    """

    variables: Mapping[str, str] = attrs.field(repr=False)
    home: Path

    def get(self, name: str) -> str | None:
        """Give a variable, or what the file that NAME_FILE names holds; empty is unset.

        :raises ValueError: if both are set, or the file cannot be read.
        """
        value = self.variables.get(name) or None
        path = self.variables.get(f"{name}_FILE") or None
        if value is not None and path is not None:
            message = f"{name} and {name}_FILE are both set; unset one of them"
            raise ValueError(message)
        return value if path is None else read_secret_file(path, f"{name}_FILE") or None

    def expand(self, text: str) -> str:
        """Replace ``${NAME}`` and ``${NAME:-default}`` in a setting.

        :raises UnsetError: for a variable without a default that is not set.
        :raises ValueError: as :meth:`get` does.
        """

        def replace(match: re.Match[str]) -> str:
            value = self.get(match[1])
            if value is None and match[2] is None:
                raise UnsetError(match[1])
            return value if value is not None else match[3] or ""

        return _VARIABLE.sub(replace, text)

    # -- the Tutum API

    def stream_url(self) -> str:
        """Give the URL of the stream: TUTUM_STREAM_URL, TUTUM_STREAM_HOST, or the public one.

        The first is the base that the official SDK knew (``wss://host/v1/``), the second scheme
        and host.
        """
        base = self.get("TUTUM_STREAM_URL")
        host = self.get("TUTUM_STREAM_HOST")
        if base is not None:
            return base if base.rstrip("/").endswith("/events") else f"{base.rstrip('/')}/events"
        return f"{host.rstrip('/')}/v1/events" if host is not None else PUBLIC_STREAM_URL

    def rest_url(self) -> str:
        """Give scheme and host of the REST API: from TUTUM_BASE_URL, or TUTUM_REST_HOST."""
        base = self.get("TUTUM_BASE_URL")
        if base is not None:
            return re.sub(r"/api/v\d+/?$", "", base)
        return self.get("TUTUM_REST_HOST") or PUBLIC_REST_URL

    def credentials(self) -> Credentials:
        """Find credentials in the order that is documented; the first complete source wins.

        :raises ValueError: naming the variable, for half a pair; or saying how to provide some.
        """
        whole = self.get("TUTUM_AUTH")
        if whole is not None:
            return _named("TUTUM_AUTH", lambda: Credentials.from_header(whole))
        for user_name, key_names in _PAIRS:
            pair = self._pair(user_name, key_names)
            if pair is not None:
                return pair
        return self._from_tutum_file()

    def _pair(self, user_name: str, key_names: tuple[str, ...]) -> Credentials | None:
        user = self.get(user_name)
        keys = ((name, self.get(name)) for name in key_names)
        key_name, key = next(((n, k) for n, k in keys if k is not None), (key_names[0], None))
        if user is None and key is None:
            return None
        if user is None or key is None:
            there, missing = (key_name, user_name) if user is None else (user_name, key_name)
            message = f"{there} is set but {missing} is not"
            raise ValueError(message)
        return _named(user_name, lambda: Credentials.from_pair(user, key))

    def _from_tutum_file(self) -> Credentials:
        path = self.home / ".tutum"
        try:
            text = path.read_text()
        except OSError:
            raise ValueError(NO_CREDENTIALS) from None
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(text)
            section = dict(parser["auth"]) if parser.has_section("auth") else {}
        except configparser.Error as problem:
            # Its message quotes the line, which may hold the key.
            message = f"{path}: no INI file ({type(problem).__name__})"
            raise ValueError(message) from None
        if section.get("basic_auth"):
            return _named(
                str(path), lambda: Credentials.from_header(f"Basic {section['basic_auth']}")
            )
        if section.get("user") and section.get("apikey"):
            return _named(
                str(path), lambda: Credentials.from_pair(section["user"], section["apikey"])
            )
        message = f"{path}: section [auth] needs basic_auth, or user and apikey. {NO_CREDENTIALS}"
        raise ValueError(message)


def _named(name: str, make: Callable[[], Credentials]) -> Credentials:
    try:
        return make()
    except ValueError as problem:
        message = f"{name}: {problem}"
        raise ValueError(message) from problem


def read_secret_file(path: str, name: str) -> str:
    """Read a file that holds one value; the line break at its end is not part of it.

    :param name: what named the file, for the error.
    :raises ValueError: naming both, if it cannot be read.
    """
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        message = f"{name}: cannot read {path!r}: {reason}"
        raise ValueError(message) from problem
