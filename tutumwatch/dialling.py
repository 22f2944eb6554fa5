"""How the servers of a configuration are reached: endpoints, credentials, trusted roots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from tutumwatch.config.plans import StreamPlan
from tutumwatch.http import Web, load_trust_root
from tutumwatch.secret import Secret

CONNECT_TIMEOUT_SECONDS = 10.0


def session_of(plan: StreamPlan) -> tuple[str, Mapping[str, str], Sequence[Secret]]:
    """Give URL and headers with the credentials in them, and what must not show of those."""
    credentials = plan.credentials
    if plan.settings.credentials == "header":
        headers = {name: value.reveal() for name, value in credentials.headers().items()}
        return plan.url, headers, credentials.secrets()
    return f"{plan.url}?{credentials.query().reveal()}", {}, credentials.secrets()


def make_endpoint(plan: StreamPlan, reactor: Any) -> IStreamClientEndpoint:  # noqa: ANN401 - a whole reactor
    """Make what a stream is dialled through.

    :raises ValueError: if its ``ca_file`` cannot be read.
    """
    parts = urlsplit(plan.url)
    host = cast("str", parts.hostname)
    tls = parts.scheme == "wss"
    plain = HostnameEndpoint(
        reactor, host, parts.port or (443 if tls else 80), timeout=CONNECT_TIMEOUT_SECONDS
    )
    if not tls:
        return plain
    ca_file = plan.settings.ca_file
    root = load_trust_root(ca_file) if ca_file is not None else None
    endpoint: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host, root), plain)
    return endpoint


@attrs.define(eq=False)
class Webs:
    """One HTTP client, with one pool of connections, for each set of trusted roots."""

    _reactor: IReactorTime
    _utc_now: Callable[[], float]
    _webs: dict[tuple[str | None, str], Web] = attrs.field(factory=dict)

    def get(self, ca_file: str | None = None, trust: str = "") -> Web:
        """Give the client that trusts a file; one whose content is new has another client.

        :param trust: the digest of what the file holds.
        :raises ValueError: if the file cannot be read.
        """
        web = self._webs.get((ca_file, trust))
        if web is None:
            root = load_trust_root(ca_file) if ca_file is not None else None
            web = Web.over_sockets(self._reactor, self._utc_now, root)
            self._webs[ca_file, trust] = web
        return web

    async def close(self) -> None:
        """Close the connections of all of them."""
        for web in self._webs.values():
            await web.close()
