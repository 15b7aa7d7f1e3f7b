"""A proxy between client and S3 server that makes a loopback look like a network, and counts.

Every request waits, a new connection waits longer, and on request some answers are spoiled, a rate limit
is enforced or the whole server goes away for a while. It relays bytes and looks only at the heads of
requests, so that it costs little beside the server on the same cores.

    python proxy.py '{"target": ["127.0.0.1", 9000], "delay_s": 0.05}'

prints its port. ``GET /__bench/stats`` answers the counts as JSON, ``/__bench/reset`` sets them to zero,
``/__bench/outage?SECONDS`` goes away at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)


@dataclass
class Settings:
    """What the proxy does to requests."""

    target: tuple[str, int]
    """Host and port of the server."""
    delay_s: float = 0.0
    """Every request waits this long."""
    jitter_s: float = 0.0
    """And up to this much more."""
    connect_s: float = 0.0
    """The first request of a connection waits this long in addition."""
    faults: dict[str, float] | None = None
    """Share of objects' answers by fault: unavailable, reset, early, short, corrupt."""
    limit: float = 0.0
    """Requests a second; 0 for no limit."""
    seed: int = 1
    """Of the faults."""


class Counts:
    """What was asked."""

    def __init__(self) -> None:
        self.gets: Counter[bytes] = Counter()
        self.kinds: Counter[str] = Counter()
        self.times: list[float] = []

    def as_dict(self) -> dict[str, object]:
        """Return the counts; `served` is how many requests were let through a second from the first to the last."""
        lasted = max(self.times[-1] - self.times[0], 1e-9) if len(self.times) > 1 else 0.0
        return {
            **self.kinds,
            "requests": sum(self.kinds[kind] for kind in ("get", "head", "list")),
            "objects": len(self.gets),
            "chunks": sum(not path.rpartition(b"/")[2].startswith(b".") for path in self.gets),
            "repeated": sum(self.gets.values()) - len(self.gets),
            "passed_per_s": (len(self.times) - 1) / lasted if lasted else 0.0,
        }


class Proxy:
    """The state that all connections share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts = Counts()
        self.rng = random.Random(settings.seed)
        self.gone_until = 0.0
        self.clients: set[Client] = set()
        self._tokens = 0.0
        self._filled = time.monotonic()

    def is_gone(self) -> bool:
        """Return whether the server is away."""
        return time.monotonic() < self.gone_until

    def go_away(self, seconds: float) -> None:
        """Break every connection and refuse new ones for a while."""
        self.gone_until = time.monotonic() + seconds
        for client in list(self.clients):
            client.abort()

    def is_over_limit(self) -> bool:
        """Return whether a request is one too many, and count it otherwise."""
        limit = self.settings.limit
        if not limit:
            return False
        now = time.monotonic()
        self._tokens = min(limit * 0.1, self._tokens + (now - self._filled) * limit)
        self._filled = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def fault(self) -> str:
        """Return what is wrong with the next answer; empty for nothing."""
        at = self.rng.random()
        for kind, share in (self.settings.faults or {}).items():
            at -= share
            if at < 0:
                return kind
        return ""


class Client(asyncio.Protocol):
    """A connection of a client, with its own connection to the server."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.transport: asyncio.Transport | None = None
        self.upstream: Upstream | None = None
        self._head = b""
        self._first = True
        self.fault = ""
        self.answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.proxy.clients.add(self)
        self.proxy.counts.kinds["connections"] += 1
        if self.proxy.is_gone():
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Close the other side."""
        self.proxy.clients.discard(self)
        if self.upstream is not None and self.upstream.transport is not None:
            self.upstream.transport.close()

    def abort(self) -> None:
        """Reset the connection."""
        if self.transport is not None:
            raw = self.transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take requests, head by head; none has a body."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            self._take(head + b"\r\n\r\n")

    def _take(self, head: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path.startswith(b"/__bench/"):
            self._control(path.decode())
            return
        settings = self.proxy.settings
        wait_s = settings.delay_s + random.random() * settings.jitter_s + (settings.connect_s if self._first else 0.0)
        self._first = False
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._pass_on, method, path, head)
        else:
            self._pass_on(method, path, head)

    def _pass_on(self, method: bytes, path: bytes, head: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self.proxy.is_gone():
            self.abort()
            return
        counts = self.proxy.counts
        is_list = method == b"GET" and (b"?" in path or path.count(b"/") < 3)
        counts.kinds["list" if is_list else method.decode().lower()] += 1
        if self.proxy.is_over_limit():
            counts.kinds["refused"] += 1
            self._say(503, _SLOW_DOWN)
            return
        counts.times.append(time.monotonic())
        self.fault = ""
        if method == b"GET" and not is_list:
            counts.gets[path] += 1
            self.fault = self.proxy.fault()
        if self.fault == "unavailable":
            self._say(503, _SLOW_DOWN)
            return
        self._forward(head)

    def _forward(self, head: bytes) -> None:
        if self.upstream is not None and self.upstream.transport is not None:
            self.upstream.transport.write(head)
            return
        self.upstream = Upstream(self)
        self.upstream.waiting = head
        loop = asyncio.get_running_loop()
        host, port = self.proxy.settings.target
        self._task = loop.create_task(self._connect(loop, host, port))

    async def _connect(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        try:
            await loop.create_connection(lambda: self.upstream, host, port)
        except OSError:
            self.abort()

    def from_server(self, data: bytes) -> None:
        """Relay what the server says, spoiled if it is to be."""
        if self.transport is None or self.transport.is_closing():
            return
        if not self.fault:
            self.transport.write(data)
            return
        self.answer += data
        found = _LENGTH.search(self.answer)
        end = self.answer.find(b"\r\n\r\n") + 4
        if found is None or end < 4 or len(self.answer) - end < int(found[1]):
            return
        head, body, self.answer, fault, self.fault = self.answer[:end], self.answer[end:], b"", self.fault, ""
        self._spoil(fault, head, body, found)

    def _spoil(self, fault: str, head: bytes, body: bytes, length: re.Match[bytes]) -> None:
        assert self.transport is not None
        half = len(body) // 2
        if fault == "short":
            head = head[: length.start(1)] + str(half).encode() + head[length.end(1) :]
            self.transport.write(head + body[:half])
        elif fault == "corrupt":
            self.transport.write(head + body[:half] + bytes([body[half] ^ 0xFF]) + body[half + 1 :])
        else:
            self.transport.write(head + body[:half])
            if fault == "reset":
                asyncio.get_running_loop().call_later(0.005, self.abort)
            else:
                self.transport.close()

    def _say(self, status: int, body: bytes) -> None:
        assert self.transport is not None
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    def _control(self, path: str) -> None:
        answer: object = {}
        name, _, value = path.removeprefix("/__bench/").partition("?")
        if name == "stats":
            answer = self.proxy.counts.as_dict()
        elif name == "reset":
            self.proxy.counts = Counts()
        elif name == "set":
            for key, setting in json.loads(bytes.fromhex(value)).items():
                setattr(self.proxy.settings, key, setting)
        self._say(200, json.dumps(answer).encode())
        if name == "outage":
            asyncio.get_running_loop().call_later(0.01, self.proxy.go_away, float(value))


class Upstream(asyncio.Protocol):
    """A connection to the server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.waiting)

    def data_received(self, data: bytes) -> None:
        """Hand the answer on."""
        self._client.from_server(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Close the other side."""
        if self._client.transport is not None:
            self._client.transport.close()


async def serve(settings: Settings) -> None:
    """Serve until the process is ended; prints the port first."""
    proxy = Proxy(settings)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(proxy), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(serve(Settings(**{**given, "target": tuple(given["target"])})))
