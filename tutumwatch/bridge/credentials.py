"""Who may listen and look: credentials in the four forms that clients of Tutum send."""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import unquote

import attrs

from tutumwatch.secret import Secret


@attrs.frozen
class Presented:
    """The account and key that a request presented."""

    user: str
    apikey: str = attrs.field(repr=False)


@attrs.frozen
class Account:
    """The one account of a bridge; without a key any credentials do, as long as they are some."""

    user: str = ""
    apikey: Secret | None = None

    def accepts(self, presented: Presented | None) -> bool:
        """Say whether a request may go on."""
        if presented is None:
            return False
        if self.apikey is None:
            return True
        given = f"{presented.user}:{presented.apikey}".encode()
        wanted = f"{self.user}:{self.apikey.reveal()}".encode()
        return hmac.compare_digest(given, wanted)


def read_credentials(authorization: bytes, query: str) -> Presented | None:
    """Read the credentials of a request; the header counts before the query.

    Accepted are ``Authorization: Basic base64(user:key)``, ``Authorization: ApiKey user:key``,
    the query ``token=<key>&user=<user>``, and the query ``auth=<the header's value>``, in which
    some clients encode the space only: a ``+`` there is one of base64, and no space.
    """
    if authorization:
        return _from_header(authorization.decode("utf-8", "replace"))
    pairs = (pair.partition("=") for pair in query.split("&"))
    fields = {name: unquote(value) for name, _, value in pairs}
    if "auth" in fields:
        value = fields["auth"].strip()
        # Others encode it as a form does, in which the space is a "+" and all else is encoded.
        return _from_header(value if " " in value else value.replace("+", " ", 1))
    if fields.get("token") and fields.get("user"):
        return Presented(fields["user"], fields["token"])
    return None


def _from_header(value: str) -> Presented | None:
    scheme, _, rest = value.strip().partition(" ")
    pair = rest.strip()
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(pair, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
    elif scheme.lower() != "apikey":
        return None
    user, colon, apikey = pair.partition(":")
    return Presented(user, apikey) if colon and user and apikey else None
