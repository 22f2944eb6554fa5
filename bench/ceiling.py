"""What the bench's servers can do at most: they must not be what is measured.

Measured with clients that do nothing with what they get; being Python too, they find a lower bound.
"""

from __future__ import annotations

import asyncio
import time

import attrs

from bench.events import uri_of
from bench.processes import ServersProcess
from bench.wire import AwaitClient, Behaviour, Plan, Play, Prepare

EVENTS_COUNT = 100_000
REQUESTS_COUNT = 10_000
CONNECTIONS_COUNT = 32
READ_BYTES = 2**20
_HANDSHAKE = b"GET /v1/events HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
_ANSWER = b"\r\n\r\nok"


@attrs.frozen
class Ceiling:
    """At least so many a second: events sent, and POSTs answered without delay."""

    events: float
    requests: float


def measure(servers: ServersProcess, count: int = EVENTS_COUNT) -> Ceiling:
    """Measure both.

    :param count: how many events; a tenth as many requests are made.
    """
    plan = Plan(count=count)
    servers.do(Prepare(plan, Behaviour()))
    return Ceiling(
        asyncio.run(_read_events(servers, count)),
        asyncio.run(_post(servers.ports.destination, max(1, count // 10 // CONNECTIONS_COUNT))),
    )


async def _read_events(servers: ServersProcess, count: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", servers.ports.stream)
    writer.write(_HANDSHAKE)
    await reader.readuntil(b'{"type":"auth"}')
    servers.do(AwaitClient(1.0))
    begun = time.perf_counter()
    servers.do(Play())
    # The last thing that is sent is the end of the last event, and an event has one date.
    seen = 0
    rest = b""
    while seen < count:
        received = rest + await reader.read(READ_BYTES)
        seen += received.count(b'"date"')
        rest = received[-len('"date"') + 1 :]
    seconds = time.perf_counter() - begun
    writer.close()
    return count / seconds


async def _post(port: int, each: int) -> float:
    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in range(each):
            uri = uri_of("container", number * each + turn)
            body = f'{{"text":"Your container was updated on Tutum!\\nCheck {uri}"}}'
            head = f"POST /services HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await reader.readuntil(_ANSWER)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CONNECTIONS_COUNT)))
    return each * CONNECTIONS_COUNT / (time.perf_counter() - begun)
