"""Where manifests come from: a path, or an address that is read with a time limit and a size limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.manifests import MAX_BYTES, ManifestFile
from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.services.published import MAX_TIMEOUT_S, TIMEOUT_S
from cellmap_tui.text import cut_middle, duration, printable, size

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from cellmap_tui.services.report import Reporter

_BLOCK_BYTES = 65_536


def read_manifest(
    source: str | Path, report: Reporter | None = None, *, timeout_s: float = TIMEOUT_S
) -> ManifestFile:
    """Read a manifest.

    Parameters
    ----------
    source
        A path, or an address that begins with ``http://``, ``https://`` or ``file://``.
    report
        Asked between blocks whether to stop.
    timeout_s
        Seconds after which an address is given up.

    Raises
    ------
    RequestError
        If the address is of another kind.
    MissingDataError
        If there is no such file, or the address does not answer.
    DataError
        If it is too large or too slow.
    """
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise RequestError(f"a timeout of {timeout_s} s", f"give seconds above 0, up to {MAX_TIMEOUT_S:.0f}")
    text = str(source)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _read_file(Path(text).expanduser(), text)
    if scheme.lower() == "file":
        return _read_file(_path_of(text), text)
    if scheme.lower() not in {"http", "https"}:
        raise RequestError(f"{_shown(text)} cannot be read", "give a path, or a file://, http:// or https:// address")
    return ManifestFile(_shown(text), _download(text, report, timeout_s))


def _read_file(path: Path, name: str) -> ManifestFile:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MissingDataError(f"manifest {_shown(name)} cannot be read: {reason}", "check the path") from None
    return ManifestFile(_shown(name), content)


def _path_of(address: str) -> Path:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(address)
    if parts.netloc not in {"", "localhost"}:
        raise RequestError(f"{_shown(address)} names a file of another machine", "write file:///path")
    return Path(unquote(parts.path))


def _download(address: str, report: Reporter | None, timeout_s: float) -> bytes:
    import urllib.error  # 15 ms, only where something is downloaded
    import urllib.request

    from cellmap_tui.version import __version__

    remedy = "check the connection, or give a file in its place"
    try:
        request = urllib.request.Request(address, headers={"User-Agent": f"cellmap-tui/{__version__}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - the scheme is checked
            return _read_blocks(answer, address, report, timeout_s)
    except CellmapError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise MissingDataError(
            f"{_shown(address)} answered {error.code} {printable(str(error.reason))}", remedy
        ) from None
    except (OSError, ValueError, _http_error()) as error:
        reason = getattr(error, "reason", None) or error
        raise MissingDataError(f"{_shown(address)} cannot be read: {printable(str(reason))}", remedy) from None


def _http_error() -> type[Exception]:
    from http.client import HTTPException

    return HTTPException


def _read_blocks(answer: HTTPResponse, address: str, report: Reporter | None, timeout_s: float) -> bytes:
    """Read an answer whole, within the limits; a server that drips bytes does not hold it up."""
    import time

    give_up = time.monotonic() + timeout_s
    blocks: list[bytes] = []
    total = 0
    while block := answer.read1(_BLOCK_BYTES):
        blocks.append(block)
        total += len(block)
        if total > MAX_BYTES:
            raise DataError(f"{_shown(address)} is larger than {size(MAX_BYTES)}, so it is no manifest")
        if time.monotonic() > give_up:
            raise DataError(f"{_shown(address)} did not arrive within {duration(timeout_s)}", "try again later")
        if report is not None:
            report.checkpoint()
    expected = answer.headers.get("Content-Length", "")
    if expected.isdigit() and int(expected) != total and not answer.headers.get("Content-Encoding"):
        raise DataError(f"{_shown(address)} ended after {total} of {expected} bytes", "try again")
    return b"".join(blocks)


def _shown(name: str) -> str:
    return cut_middle(printable(name), 120)
