"""Where a prediction grows before it has its final name, and how far it is: what a killed one goes on from.

In the folder of a crop's predictions stands a hidden one with a header (what is predicted, how it is divided), a
line for each slab that is on disk, and the arrays.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from cellmap_tui.errors import RefusedError
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.publish import cannot_write, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAME = ".predict.partial"
FORMAT = 1
_HEADER, _DONE, _LOCK, _TILES = "header.json", "done.jsonl", "lock", "tiles.json"
_TELL_S = 1.0


class Journal:
    """A prediction in the making.

    Parameters
    ----------
    folder
        Folder of the crop's classes.
    keys
        What each column is made from; a journal of other keys is thrown away.
    parts
        How the volume is divided, where nothing is there yet.
    batch_size
        Tiles that go through the network together, likewise: other batches would differ in the last bit.

    Raises
    ------
    RefusedError
        If another process predicts the same crop, or the folder cannot be written.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str], parts: Sequence[Box], batch_size: int) -> None:
        self.path = folder / NAME
        self._write = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(exist_ok=True)
            self._lock = (self.path / _LOCK).open("a")
            self._take_lock()
            told = read_header(folder)
            if not _is_same(told, keys):
                self._clear()
                told = _header(keys, parts, batch_size)
                write_json(self.path / _HEADER, told)
            self.parts = tuple(Box(tuple(start), tuple(stop)) for start, stop in told["parts"])
            self.batch_size = int(told["batch_size"])
            self._rows = _read_rows(self.path / _DONE)
            # What an earlier attempt had predicted and not written is predicted again.
            (self.path / _TILES).unlink(missing_ok=True)
            self._shares: dict[int, float] = {}
            self._told_s = -_TELL_S
            self._done = (self.path / _DONE).open("a", encoding="utf-8")
            # A line that was cut off ends here.
            self._done.write("\n")
        except OSError as error:
            raise cannot_write(folder, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.close()
        self._lock.close()

    def row(self, part: int) -> int:
        """Return the first row of a part that is not on disk."""
        return max(self._rows.get(part, 0), self.parts[part].start[0])

    def is_done(self, part: int) -> bool:
        """Return whether all rows of a part are on disk."""
        return self.row(part) >= self.parts[part].stop[0]

    def done(self, part: int, row: int) -> None:
        """Note that the rows of a part before `row` are on disk."""
        with self._write:
            self._rows[part] = row
            self._done.write(json.dumps({"part": part, "row": row}) + "\n")
            self._done.flush()

    def predicted(self, part: int, share: float) -> None:
        """Note which share of a part's tiles, 0 to 1, went through the networks; for who watches.

        Rows are only on disk once no later tile reaches them: of a volume that is sliced along three axes, late.
        """
        with self._write:
            self._shares[part] = round(min(1.0, share), 4)
            if time.monotonic() - self._told_s < _TELL_S:
                return
            self._told_s = time.monotonic()
            # It is only looked at: a disk that is full is told where slabs are written.
            with contextlib.suppress(OSError, RefusedError):
                write_json(self.path / _TILES, {str(number): told for number, told in self._shares.items()})

    def remove(self) -> None:
        """Remove what is left when everything has its final name."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _take_lock(self) -> None:
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RefusedError(
                f"{self.path.parent} is being predicted by another process", "wait for it, or write elsewhere with -o"
            ) from None

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)


def read_header(folder: Path) -> dict[str, Any]:
    """Return what an unfinished prediction in a folder is; empty: there is none."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((folder / NAME / _HEADER).read_bytes())
        if isinstance(told, dict) and told.get("format") == FORMAT:
            return told
    return {}


def unfinished(folder: Path, keys: Mapping[str, str]) -> dict[int, int] | None:
    """Return the rows that are on disk by part, of an unfinished prediction of the same; None: there is none."""
    return rows_done(folder) if _is_same(read_header(folder), keys) else None


def rows_done(folder: Path) -> dict[int, int]:
    """Return the rows of an unfinished prediction that are on disk, by part."""
    return _read_rows(folder / NAME / _DONE)


def shares_predicted(folder: Path) -> dict[int, float]:
    """Return which share of its tiles went through the networks, by part, as far as that is told."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        told = json.loads((folder / NAME / _TILES).read_bytes())
        return {int(part): float(share) for part, share in told.items()}
    return {}


def _is_same(told: Mapping[str, Any], keys: Mapping[str, str]) -> bool:
    there = told.get("columns")
    return isinstance(there, dict) and all(there.get(name) == key for name, key in keys.items())


def _header(keys: Mapping[str, str], parts: Sequence[Box], batch_size: int) -> dict[str, Any]:
    boxes = [[list(part.start), list(part.stop)] for part in parts]
    return {"format": FORMAT, "columns": dict(keys), "parts": boxes, "batch_size": batch_size}


def _read_rows(path: Path) -> dict[int, int]:
    rows: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            # The last line may be cut off; its slab is predicted again.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                rows[int(told["part"])] = int(told["row"])
    return rows
