"""Where HTTP calls connect to: made once for each host.

Twisted's Agent makes an endpoint for every request, also for one that goes out on a connection that
is open already; checking the host's name by the rules of IDNA is a third of such a call.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeAlias

import attrs
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

HOSTS_MAX_COUNT = 256

_Host: TypeAlias = tuple[bytes, bytes, int]


@implementer(IAgentEndpointFactory)
@attrs.define
class HostEndpoints:
    """Gives the endpoint of a URI's scheme, host and port.

    :param policy: says which certificates count for which host.
    """

    _reactor: Any
    _policy: IPolicyForHTTPS
    _connect_timeout_seconds: float
    _made: OrderedDict[_Host, IStreamClientEndpoint] = attrs.field(factory=OrderedDict)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802 - Twisted names it
        """Give an endpoint, which may be used any number of times."""
        host = (uri.scheme, uri.host, uri.port)
        endpoint = self._made.get(host)
        if endpoint is None:
            endpoint = self._made[host] = self._make(*host)
            if len(self._made) > HOSTS_MAX_COUNT:
                self._made.popitem(last=False)
        return endpoint

    def _make(self, scheme: bytes, host: bytes, port: int) -> IStreamClientEndpoint:
        plain = HostnameEndpoint(
            self._reactor, host.decode("ascii"), port, timeout=self._connect_timeout_seconds
        )
        if scheme != b"https":
            return plain
        wrapped: IStreamClientEndpoint = wrapClientTLS(
            self._policy.creatorForNetloc(host, port), plain
        )
        return wrapped
