"""Reads Tutum credentials out of a request, in the four forms that clients send them in."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import parse_qs

import attrs


@attrs.frozen
class Credentials:
    """A user and the API key; ``form`` is ``Basic``, ``ApiKey``, ``token`` or ``auth``."""

    user: str
    apikey: str
    form: str


def credentials_of(headers: Mapping[str, str], query: str) -> Credentials | None:
    """Return the credentials of a request, or None when there are none or they make no sense.

    The four forms: ``Authorization: Basic base64(user:key)``, ``Authorization: ApiKey user:key``,
    ``?token=key&user=user`` and ``?auth=`` with the header's value.
    """
    if "authorization" in headers:
        return _from_header(headers["authorization"])
    fields = parse_qs(query)
    if "token" in fields and "user" in fields:
        return Credentials(fields["user"][0], fields["token"][0], "token")
    if "auth" in fields:
        scheme, _, rest = fields["auth"][0].partition(" ")
        # Clients encode only the space; a query parser turns base64's "+" into one: undo it.
        undone = rest.replace(" ", "+") if scheme == "Basic" else rest
        found = _from_header(f"{scheme} {undone}")
        return None if found is None else attrs.evolve(found, form="auth")
    return None


def _from_header(authorization: str) -> Credentials | None:
    scheme, _, rest = authorization.partition(" ")
    if scheme == "Basic":
        try:
            rest = base64.b64decode(rest, validate=True).decode()
        except ValueError:
            return None
    elif scheme != "ApiKey":
        return None
    user, colon, apikey = rest.partition(":")
    return Credentials(user, apikey, scheme) if colon and user and apikey else None
