"""The process of the servers: does what the bench says on its standard input."""

from __future__ import annotations

import asyncio
import sys
from typing import assert_never

import msgspec

from bench.http_servers import DestinationSite, HTTPServer, RESTSite
from bench.stream_server import StreamConnection, StreamServer
from bench.wire import (
    Ask,
    AwaitClient,
    AwaitNotices,
    Behave,
    Behaviour,
    Command,
    Play,
    Ports,
    Prepare,
    State,
)

# Times are those of what happens, not of when it is seen.
LOOK_SECONDS = 0.005

_decode = msgspec.json.Decoder(Command).decode
_encode = msgspec.json.Encoder().encode


class Servers:
    """The stream, the REST API and the destination, with one clock."""

    def __init__(self) -> None:
        self._stream = StreamServer()
        self._rest = RESTSite(lambda: self._stream.sent_count)
        self._destination = DestinationSite()
        self._rest_server = HTTPServer(self._rest)
        self._destination_server = HTTPServer(self._destination)
        self._playing: asyncio.Task[None] | None = None

    async def listen(self) -> Ports:
        """Listen on free ports."""
        loop = asyncio.get_running_loop()
        stream = await loop.create_server(lambda: StreamConnection(self._stream), "127.0.0.1", 0)
        self._listening = stream  # else nobody holds it
        await self._rest_server.listen()
        await self._destination_server.listen()
        port: int = stream.sockets[0].getsockname()[1]
        return Ports(port, self._rest_server.port, self._destination_server.port)

    async def obey(self, command: Command) -> State:
        """Do what was said, and say how things are then."""
        match command:
            case Prepare():
                await self._prepare(command)
            case Behave():
                await self._behave(command.behaviour)
            case Play():
                self._playing = asyncio.create_task(self._stream.play())
            case AwaitClient():
                await self._await_client(command)
            case AwaitNotices():
                await self._await_notices(command)
            case Ask():
                pass
            case _:
                assert_never(command)
        return self._state()

    async def _prepare(self, command: Prepare) -> None:
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
            self._playing = None
        self._stream.prepare(command.plan)
        self._rest.prepare(command.plan)
        self._destination.prepare()
        await self._behave(command.behaviour)

    async def _behave(self, behaviour: Behaviour) -> None:
        self._rest.behaviour = self._destination.behaviour = behaviour
        if behaviour.is_up:
            await self._destination_server.listen()
        else:
            self._destination_server.go_down()

    async def _await_client(self, command: AwaitClient) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + command.timeout_seconds
        while self._stream.client is None and loop.time() < end:  # noqa: ASYNC110 - and no longer
            await asyncio.sleep(LOOK_SECONDS)

    async def _await_notices(self, command: AwaitNotices) -> None:
        loop = asyncio.get_running_loop()
        begun = news_at = loop.time()
        arrived = self._destination.arrived_at
        count = -1
        while len(arrived) < command.count and loop.time() < begun + command.timeout_seconds:
            if self._playing is not None and self._playing.done():
                self._playing.result()
            if count != len(arrived) or not self._stream.all_sent:
                count, news_at = len(arrived), loop.time()
            if loop.time() > news_at + command.quiet_seconds:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _state(self) -> State:
        stream, arrived, first_at = (
            self._stream,
            self._destination.arrived_at,
            self._stream.first_at,
        )
        delays = (arrived[n] - at for n, at in stream.sent_at.items() if n in arrived)
        return State(
            is_connected=stream.client is not None,
            sent=stream.sent_count,
            all_sent=stream.all_sent,
            distinct=len(arrived),
            repeated=self._destination.repeated_count,
            unnamed=self._destination.unnamed_count,
            requests=self._destination.requests_count,
            look_ups=self._rest.look_ups_count,
            last_at=max(arrived.values(), default=first_at) - first_at,
            delays=tuple(delays),
        )


async def main() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    servers = Servers()
    _say(await servers.listen())
    while line := await lines.readline():
        _say(await servers.obey(_decode(line)))


def _say(answer: Ports | State) -> None:
    sys.stdout.buffer.write(_encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
