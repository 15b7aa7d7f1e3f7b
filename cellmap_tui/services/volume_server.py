"""A small web server for volumes on this disk: read-only, only the folders it is given, only for who has the link.

Each folder is reached under a name of its own below a random token, so that other users of the machine, and
pages in the same browser, cannot read it. Nothing outside the folders is served, whatever a path or a symbolic link
says.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote, unquote

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOCAL = "127.0.0.1"
ALL_ADDRESSES = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - only to recognise it
METADATA = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})
"""Hidden files that belong to a volume."""
PIECE_BYTES = 2**18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class VolumeServer(ThreadingHTTPServer):
    """Serves folders until it is shut down.

    Parameters
    ----------
    folders
        Name to folder.
    bind
        Address that is listened on.
    port
        Port; 0: any that is free.

    Raises
    ------
    RequestError
        If the address or port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folders: Mapping[str, Path], *, bind: str = LOCAL, port: int = 0) -> None:
        self.roots = {name: os.path.realpath(folder) for name, folder in folders.items()}
        self.token = secrets.token_urlsafe(12)
        if not 0 <= port <= 65_535:
            raise RequestError(f"port {port}", "ports are 1 to 65535; 0 takes one that is free")
        try:
            super().__init__((bind, port), _Handler)
        except OSError as error:
            raise RequestError(
                f"cannot listen on {bind}:{port}: {error.strerror}",
                "choose another --port, or 0 for one that is free",
            ) from None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    def url_of(self, name: str, host: str = LOCAL) -> str:
        """Return where a folder is found from a browser on this machine, or at the end of a tunnel."""
        return f"http://{host}:{self.port}/{self.token}/{quote(name, safe='')}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave browsers that close a connection early unmentioned."""


def file_of(path: str, token: str, roots: Mapping[str, str]) -> str | None:
    """Return the file that a request's path names; None for everything that is not served.

    Parameters
    ----------
    path
        Path of the request, as it came.
    token, roots
        What it must begin with, and the folders by name.
    """
    parts = [unquote(part) for part in path.partition("?")[0].split("/")[1:]]
    if len(parts) < 3 or not secrets.compare_digest(parts[0].encode(), token.encode()) or parts[1] not in roots:
        return None
    if not all(_is_plain(part) for part in parts[2:]):
        return None
    root = roots[parts[1]]
    found = os.path.realpath(os.path.join(root, *parts[2:]))  # noqa: PTH118 - a string all the way
    return found if found.startswith(root.rstrip(os.sep) + os.sep) else None


def _is_plain(part: str) -> bool:
    if not part or "/" in part or "\\" in part or "\0" in part:
        return False
    return not part.startswith(".") or part in METADATA


def _opened(file: str) -> BinaryIO | None:
    """Open a regular file; None for a folder, a pipe, or what cannot be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


class _Handler(BaseHTTPRequestHandler):
    """Answers GET, HEAD and the questions that browsers ask before them."""

    protocol_version = "HTTP/1.1"
    server_version = "cellmap-tui"
    sys_version = ""
    timeout = 60

    def do_OPTIONS(self) -> None:
        """Allow reading from any page: whoever has the link has the token."""
        self._head(HTTPStatus.NO_CONTENT, 0)

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(with_content=False)

    def do_GET(self) -> None:
        """Answer with a file, or a range of it."""
        self._answer(with_content=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a view asks for thousands of chunks."""

    def _answer(self, *, with_content: bool) -> None:
        server = cast("VolumeServer", self.server)
        file = file_of(self.path, server.token, server.roots)
        stream = None if file is None else _opened(file)
        if stream is None:
            self._head(HTTPStatus.NOT_FOUND, 0)
            return
        with stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            start, stop = self._range(size_bytes)
            if start is None:
                self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, f"bytes */{size_bytes}")
                return
            is_part = (start, stop) != (0, size_bytes)
            status = HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK
            self._head(status, stop - start, f"bytes {start}-{stop - 1}/{size_bytes}" if is_part else None)
            if with_content:
                stream.seek(start)
                self._send(stream, stop - start)

    def _send(self, stream: BinaryIO, left_bytes: int) -> None:
        while left_bytes > 0:
            piece = stream.read(min(PIECE_BYTES, left_bytes))
            if not piece:
                self.close_connection = True  # the file has become shorter than was promised
                return
            self.wfile.write(piece)
            left_bytes -= len(piece)

    def _range(self, size_bytes: int) -> tuple[int | None, int]:
        """Return the half-open range that is asked for; None where it lies outside the file."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or not (match[1] or match[2]):
            return 0, size_bytes
        if not match[1]:
            return max(0, size_bytes - int(match[2])), size_bytes
        start, stop = int(match[1]), min(int(match[2]) + 1, size_bytes) if match[2] else size_bytes
        return (start, stop) if start < stop else (None, 0)

    def _head(self, status: HTTPStatus, content_bytes: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
        self.send_header("Access-Control-Allow-Headers", "Range")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, Content-Length")
        # Chrome asks before a public page may read from this machine.
        self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(content_bytes))
        self.end_headers()
