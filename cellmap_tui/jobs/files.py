"""Small files of a run directory: replaced whole, read with a bound, never half there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SMALL_FILE_BYTES = 64 * 1024 * 1024
"""A request, state or result above this is not ours."""


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write `data` beside `path` and rename it over `path`, so that a reader sees the old or the new, whole.

    Parameters
    ----------
    durable
        Ask the disk to keep it before the rename: for what must survive a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        _write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    temporary.replace(path)


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None when there is no such file.

    Raises
    ------
    DataError
        If it cannot be read or is not a JSON object.
    """
    import msgspec

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SMALL_FILE_BYTES)
        value = msgspec.json.decode(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object")
    return value


def number_or_none(value: object) -> float | None:
    """Return a finite number, or None for anything else: files of other versions may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < float("inf") else None


def integer_or_none(value: object) -> int | None:
    """Return an integer, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_or_none(value: object) -> str | None:
    """Return a text, or None for anything else."""
    return value if isinstance(value, str) else None


def clean_text(text: str) -> str:
    """Return `text` as valid Unicode; the bytes of undecodable file names, kept as surrogates, are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
