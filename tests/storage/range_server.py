"""A small HTTP server that speaks just enough S3 for archives: HEAD and ranged GET with ETag and If-Match."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>'


@dataclass
class Request:
    """One request as it arrived."""

    number: int
    method: str
    path: str
    start: int = 0
    stop: int = 0
    if_match: str = ""
    signed: bool = False


Fault = tuple[str, Any]
"""What is wrong with an answer: ``("status", 503)``, ``("short", n)``, ``("corrupt", offset)``, ``("html", None)``,
``("whole", None)``, ``("headers", {...})``."""


@dataclass
class Bucket:
    """Objects, what goes wrong, and what was asked."""

    objects: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    fault: Callable[[Request], Fault | None] = lambda _: None
    before: Callable[[Request], None] = lambda _: None
    requests: list[Request] = field(default_factory=list)

    def put(self, path: str, data: bytes, etag: str = "one-1") -> None:
        self.objects[path] = data
        self.etags[path] = etag

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [(r.start, r.stop) for r in self.requests if r.method == "GET"]


class RangeServer:
    """Serves a `Bucket` on a free port of this machine while it is entered."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._guard = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                outer._answer(self)

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        request = self._noted(handler)
        self.bucket.before(request)
        data = self.bucket.objects.get(request.path)
        if data is None:
            _error(handler, 404, b"NoSuchKey")
            return
        etag = self.bucket.etags[request.path]
        if request.if_match and request.if_match != f'"{etag}"':
            _error(handler, 412, b"PreconditionFailed")
            return
        fault = self.bucket.fault(request)
        if fault and fault[0] == "status":
            _error(handler, fault[1], b"SlowDown" if fault[1] == 503 else b"Denied")
            return
        _send(handler, request, data, etag, fault)

    def _noted(self, handler: BaseHTTPRequestHandler) -> Request:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        with self._guard:
            request = Request(
                number=len(self.bucket.requests),
                method=handler.command,
                path=handler.path,
                start=int(found[1]) if found else 0,
                stop=int(found[2]) + 1 if found else 0,
                if_match=handler.headers.get("If-Match", ""),
                signed="Authorization" in handler.headers,
            )
            self.bucket.requests.append(request)
        return request


def _send(handler: BaseHTTPRequestHandler, request: Request, data: bytes, etag: str, fault: Fault | None) -> None:
    kind, value = fault or ("", None)
    is_part = request.stop > 0 and kind != "whole"
    body = data[request.start : request.stop] if is_part else data
    if kind == "html":
        body = b"<html>please log in</html>"
    if kind == "corrupt" and request.start <= value < request.stop:
        spot = value - request.start
        body = body[:spot] + bytes([body[spot] ^ 0xFF]) + body[spot + 1 :]
    handler.send_response(206 if is_part else 200)
    handler.send_header("ETag", f'"{etag}"')
    handler.send_header("Accept-Ranges", "bytes")
    if is_part:
        handler.send_header("Content-Range", f"bytes {request.start}-{request.stop - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command == "HEAD":
        return
    try:
        if kind == "short":
            handler.wfile.write(body[:value])
            handler.wfile.flush()
            handler.close_connection = True
            return
        handler.wfile.write(body)
    except ConnectionError:
        handler.close_connection = True


def _error(handler: BaseHTTPRequestHandler, status: int, code: bytes) -> None:
    body = ERROR % (code, code) if handler.command != "HEAD" else b""
    handler.send_response(status)
    handler.send_header("Content-Type", "application/xml")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
