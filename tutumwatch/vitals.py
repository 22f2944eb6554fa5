"""The services that tell others how we are: the status, and the heartbeat if one is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.status import DEFAULT_LISTEN, OFF, StatusSettings
from tutumwatch.dialling import Webs
from tutumwatch.status.health import Health
from tutumwatch.status.heartbeat import Heartbeat
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.service import StatusService


@attrs.define(eq=False)
class Vitals:
    """Both services, as they are configured now.

    :param reactor: a whole reactor: a clock, and what endpoints are made of.
    """

    _reactor: Any
    _webs: Webs
    _check: Callable[[], Health]
    _status_settings: StatusSettings
    _heartbeat_settings: HeartbeatSettings
    _manager: ServiceManager
    status: StatusService = attrs.field(init=False)
    _heartbeat: Heartbeat | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        endpoint = _listen(self._status_settings, self._reactor)
        self.status = StatusService(self._check, endpoint, self._manager, self._reactor)
        self._heartbeat = self._make_heartbeat(self._heartbeat_settings)

    def services(self) -> list[IService]:
        """Give them; the status comes last: it says that all has started."""
        return [*([] if self._heartbeat is None else [self._heartbeat]), self.status]

    def _make_heartbeat(self, settings: HeartbeatSettings) -> Heartbeat | None:
        if settings.url is None:
            return None
        web, interval = self._webs.get(), settings.interval.seconds
        return Heartbeat(self._check, settings.url, interval, web, self._reactor)

    async def use(self, status: StatusSettings, heartbeat: HeartbeatSettings) -> None:
        """Go on as they are configured now; what is not changed is not disturbed."""
        if heartbeat != self._heartbeat_settings:
            self._heartbeat_settings = heartbeat
            if self._heartbeat is not None:
                await maybeDeferred(self._heartbeat.disownServiceParent)
            self._heartbeat = self._make_heartbeat(heartbeat)
            if self._heartbeat is not None and self.status.parent is not None:
                self._heartbeat.setServiceParent(self.status.parent)
        if _listens_at(status) != _listens_at(self._status_settings):
            self._status_settings = status
            await self.status.use(_listen(status, self._reactor))


def _listens_at(settings: StatusSettings) -> str:
    return settings.listen or DEFAULT_LISTEN


def _listen(settings: StatusSettings, reactor: Any) -> IStreamServerEndpoint | None:  # noqa: ANN401 - a whole reactor
    listen = _listens_at(settings)
    return None if listen == OFF else serverFromString(reactor, listen)
