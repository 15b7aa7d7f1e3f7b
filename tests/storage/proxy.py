"""A proxy in front of an S3 server that spoils answers on request, and logs every request that it sees."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

HTML = b"<html><head><title>Sign in</title></head><body>Welcome to the guest network.</body></html>"
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Fault:
    """What to do to an answer: `kind` is status, reset, early, cut, stall, silent, short, long, corrupt or html."""

    kind: str
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def status(code, name="", retry_after=None):
    """Return a fault that answers with a status and an S3 error body."""
    body = f"<?xml version='1.0'?><Error><Code>{name}</Code></Error>".encode() if name else b""
    headers = (("Retry-After", str(retry_after)),) if retry_after is not None else ()
    return Fault("status", code, body, headers)


@dataclass
class Request:
    """A request as the proxy saw it."""

    number: int
    method: str
    path: str
    query: str
    at_s: float
    headers: dict[str, str]
    fault: str = ""
    status: int = 0
    sent_bytes: int = 0
    is_whole: bool = False

    @property
    def key(self):
        """The key asked for; empty for a listing."""
        return self.path.lstrip("/").partition("/")[2]


@dataclass
class FaultProxy:
    """Runs in a thread of its own; `decide` is asked for each request which fault it gets."""

    upstream: str
    decide: object = None
    delay_s: float = 0.0
    log: list[Request] = field(default_factory=list)

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._connections = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_):
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self):
        """The endpoint for clients."""
        return f"http://127.0.0.1:{self.port}"

    def gets(self):
        """Return how often each key was asked for."""
        return Counter(request.key for request in list(self.log) if request.key)

    def go_down(self):
        """Refuse connections and break those that are open."""
        self._call(self._shut())

    def come_back(self):
        """Answer again, at the same port."""
        self._call(self._listen(self.port))

    def come_back_after(self, seconds):
        """Answer again in a while."""
        self._loop.call_soon_threadsafe(
            lambda: self._loop.call_later(seconds, lambda: self._loop.create_task(self._listen(self.port)))
        )

    def wait_for(self, condition, timeout_s=300):
        """Wait until `condition(log)` holds; return whether it does."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if condition(self.log):
                return True
            time.sleep(0.002)
        return False

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen(0))
        started.set()
        self._loop.run_forever()

    async def _listen(self, port):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self):
        self._server.close()
        await asyncio.sleep(0)  # whoever was let in just now is known then
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        for _ in range(3):  # transports let go of their sockets a round later
            await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        upstream = _Upstream(self.upstream)
        try:
            while await self._answer(reader, writer, upstream):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            upstream.close()
            writer.close()

    async def _answer(self, reader, writer, upstream):
        head = await reader.readuntil(b"\r\n\r\n")
        request = self._logged(head)
        fault = self.decide(request) if self.decide is not None else None
        request.fault = fault.kind if fault else ""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if fault is not None and fault.kind == "silent":
            await asyncio.sleep(3600)
        if fault is not None and fault.kind == "reset":
            writer.transport.abort()
            return False
        if fault is not None and fault.kind in {"status", "html"}:
            answer = (fault.status, list(fault.headers), HTML if fault.kind == "html" else fault.body)
        else:
            answer = await upstream.ask(head)
        return await self._send(writer, request, fault, *answer)

    def _logged(self, head):
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        parts = urlsplit(target)
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        request = Request(len(self.log), method, unquote(parts.path), parts.query, time.monotonic(), headers)
        self.log.append(request)
        return request

    async def _send(self, writer, request, fault, code, headers, body):
        kind = fault.kind if fault else ""
        body = _spoiled(kind, body)
        sent = body[: len(body) // 2] if kind in {"early", "cut", "stall"} else body
        lines = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *(f"{n}: {v}" for n, v in headers)]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if request.method != "HEAD":
            writer.write(sent)
        await writer.drain()
        request.status, request.sent_bytes = code, len(sent)
        if kind == "stall":
            await asyncio.sleep(3600)
        if kind == "cut":
            writer.transport.abort()
        request.is_whole = not kind
        return kind not in {"early", "cut"}


class _Upstream:
    """One connection to the server behind."""

    def __init__(self, url):
        self._address = urlsplit(url)
        self._streams = None

    async def ask(self, head):
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._address.hostname, self._address.port, limit=1 << 20)
        reader, writer = self._streams
        writer.write(head)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        code = int(lines[0].split(" ")[1])
        headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        known = {name.lower(): value for name, value in headers}
        kept = [(n, v) for n, v in headers if n.lower() not in {"content-length", "transfer-encoding", "connection"}]
        if head.startswith(b"HEAD"):
            return code, kept, bytes(int(known.get("content-length", 0)))
        if known.get("transfer-encoding") == "chunked":
            return code, kept, await _read_chunked(reader)
        return code, kept, await reader.readexactly(int(known.get("content-length", 0)))

    def close(self):
        if self._streams is not None:
            with contextlib.suppress(OSError):
                self._streams[1].close()


async def _read_chunked(reader):
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _spoiled(kind, body):
    if kind == "short":
        return body[:-1]
    if kind == "long":
        return body + b"x"
    if kind == "corrupt" and body:
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    return body


@dataclass
class First:
    """Spoils the first `times` answers for keys that contain `part`; listings are left alone."""

    fault: Fault
    part: str = ""
    times: int = 1
    seen: Counter = field(default_factory=Counter)

    def __call__(self, request):
        """Return the fault for a request, or None."""
        if not request.key or self.part not in request.key:
            return None
        self.seen[request.key] += 1
        return self.fault if self.seen[request.key] <= self.times else None


@dataclass
class Noise:
    """Spoils a share of the answers, by a seed: 5 % *slow down*, 2 % of each other kind."""

    seed: int = 0

    def __post_init__(self):
        self._random = random.Random(self.seed)

    def __call__(self, request):
        """Return the fault for a request, or None."""
        if not request.key:
            return None
        draw = self._random.random()
        if draw < 0.05:
            return status(503, "SlowDown")
        kinds = ("reset", "early", "short", "corrupt")
        index = int((draw - 0.05) / 0.02)
        return Fault(kinds[index]) if index < len(kinds) else None


@dataclass
class RateLimit:
    """Lets so many requests through a second, as a bucket of tokens; the others are told to slow down."""

    per_s: float
    burst: float = 20.0
    allowed: int = 0
    refused: int = 0

    def __post_init__(self):
        self._tokens, self._at = self.burst, time.monotonic()

    def __call__(self, request):
        """Return the fault for a request, or None."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_s)
        self._at = now
        if self._tokens < 1:
            self.refused += 1
            return status(503, "SlowDown")
        self._tokens -= 1
        self.allowed += 1
        return None
