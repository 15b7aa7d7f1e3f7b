"""Which files an output may replace: a file of its own kind, never a configuration or a split named by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

_PNG = b"\x89PNG"


def check_picture(path: Path) -> None:
    """Refuse a place that no PNG should be written to.

    Raises
    ------
    RequestError
        If its name is that of another kind of file.
    RefusedError
        If there is a file that is no PNG.
    """
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path}: pictures are written as PNG", f"name it {path.with_suffix('.png').name}")
    _check(path, _PNG, "PNG")


def check_table(path: Path, header: str) -> None:
    """Refuse to replace a file that does not begin like this table; raises RefusedError."""
    _check(path, header.encode(), "table of this kind")


def _check(path: Path, beginning: bytes, kind: str) -> None:
    if path.is_dir():
        raise RefusedError(f"{path} is a folder", "name a file with -o")
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            found = file.read(len(beginning))
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}", "name another file with -o") from None
    if found and found != beginning:
        raise RefusedError(f"{path} exists and is no {kind}", "name another file with -o, or move it away")
