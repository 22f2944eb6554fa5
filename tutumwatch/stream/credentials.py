"""Credentials for the Tutum API, in the forms that it takes."""

from __future__ import annotations

import base64
import contextlib
from urllib.parse import quote

import attrs

from tutumwatch.secret import Secret


@attrs.frozen
class Credentials:
    """The value of an ``Authorization`` header, and the pair it was made of if there was one."""

    authorization: Secret
    user: str | None = None
    apikey: Secret | None = None

    @classmethod
    def from_pair(cls, user: str, apikey: str) -> Credentials:
        """Make ``Basic`` credentials of an account and its API key.

        :raises ValueError: for a user with a colon, which Basic cannot carry, or an empty part.
        """
        if not user or not apikey:
            message = "user and API key must not be empty"
            raise ValueError(message)
        if ":" in user:
            message = "the user name must not hold a colon"
            raise ValueError(message)
        token = base64.b64encode(f"{user}:{apikey}".encode()).decode("ascii")
        return cls(Secret(f"Basic {token}"), user, Secret(apikey))

    @classmethod
    def from_header(cls, value: str) -> Credentials:
        """Take a whole ``Authorization`` value, as ``Basic ...`` or ``ApiKey user:key``.

        :raises ValueError: for what cannot stand in a header, or has no scheme.
        """
        value = value.strip()
        if not value.isascii() or not value.isprintable():
            message = "it must be printable ASCII, on one line"
            raise ValueError(message)
        if " " not in value:
            message = 'it must begin with its scheme, as in "Basic ..." or "ApiKey user:key"'
            raise ValueError(message)
        return cls(Secret(value))

    def secrets(self) -> tuple[Secret, ...]:
        """Give what must not show of these credentials: the value, what it encodes, the key."""
        value, pair = self._value_and_pair()
        return (self.authorization, *map(Secret, (value, pair, pair.partition(":")[2])))

    def account(self) -> str:
        """Give the name of the user; empty if the credentials do not tell."""
        name, colon, _ = self._value_and_pair()[1].partition(":")
        return name if colon else ""

    def _value_and_pair(self) -> tuple[str, str]:
        scheme, _, value = self.authorization.reveal().partition(" ")
        pair = value
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                pair = base64.b64decode(value, validate=True).decode()
        return value, pair

    def headers(self) -> dict[str, Secret]:
        """Give the headers that carry these credentials."""
        return {"Authorization": self.authorization}

    def query(self) -> Secret:
        """Give the query that carries these credentials, as the tutorial's client sent it."""
        if self.user is not None and self.apikey is not None:
            token, user = quote(self.apikey.reveal(), safe=""), quote(self.user, safe="")
            return Secret(f"token={token}&user={user}")
        return Secret(f"auth={quote(self.authorization.reveal(), safe='')}")
