"""Where banks are kept: a folder for the EM and one for the codes of each crop, whole or not there.

A folder is named by what was asked for and holds a signature of what it was made from; data that have
changed since, another version of the format or a damaged file make it count as not there, and what is
built anew takes its place. EM does not depend on targets, so other targets share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.targets import format_targets
from cellmap_tui.errors import RefusedError
from cellmap_tui.text import size
from cellmap_tui.volumes.geometry import covering_range
from cellmap_tui.volumes.publish import begin, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.learning.bank import BankRequest
    from cellmap_tui.learning.bank_sources import CropPlan
    from cellmap_tui.volumes.ngff import Level

FORMAT = 1
"""Counted up whenever the same request would give other files."""
META = "meta.json"
SPARE_BYTES = 64 * 2**20
"""Room that must be left on the disk."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder of the cache: what was asked for, and what it must have been made from."""

    folder: Path
    """Where it is, or will be."""
    asked: str
    """What was asked for, as JSON."""
    signature: str
    """What the data looked like."""
    size_bytes: int
    """Room it takes."""

    def meta(self) -> dict[str, Any] | None:
        """Return what its builder noted, or None where there is nothing that may be used."""
        try:
            meta = json.loads((self.folder / META).read_bytes())
        except (OSError, ValueError):
            return None
        expected = {"format": FORMAT, "asked": self.asked, "signature": self.signature}
        is_same = isinstance(meta, dict) and all(meta.get(key) == value for key, value in expected.items())
        return meta if is_same else None

    def identity(self) -> int | None:
        """Return a number that differs between one folder and what takes its place; None: no folder."""
        try:
            return self.folder.stat().st_ino
        except OSError:
            return None

    def build(self, fill: Callable[[Path], dict[str, Any]], stale: int | None) -> None:
        """Make the folder: `fill` writes its files and returns what is to be noted.

        Several processes may do so at once; what the first has made is kept. `stale` is the identity of the
        folder that was found wanting.

        Raises
        ------
        RefusedError
            If the disk is full or may not be written.
        """
        temporary = begin(self.folder, overwrite=True)
        try:
            noted = fill(temporary)
            noted |= {"format": FORMAT, "asked": self.asked, "signature": self.signature}
            (temporary / META).write_text(json.dumps(noted), encoding="utf-8")
            if not self._is_made(stale):
                publish(temporary, self.folder, overwrite=True)
        except OSError as error:
            if self._is_made(stale):
                return  # another process, or rank, was a moment faster
            raise RefusedError(
                f"the bank in {self.folder.parent} cannot be written: {error.strerror or error}",
                "make room, or name another cache folder",
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _is_made(self, stale: int | None) -> bool:
        return self.identity() != stale and self.meta() is not None


def em_entry(plan: CropPlan, request: BankRequest, grid: Grid) -> Entry:
    """Return the entry of a crop's EM; `grid` is the crop's with its context."""
    level = plan.em.choice.level
    asked = ["em", str(level.path.absolute()), _grid(grid), plan.em.window]
    return _entry(plan, request, "em", asked, _signature([(level, grid)]), 2 * grid.voxels)


def codes_entry(plan: CropPlan, request: BankRequest, levels: Sequence[Level]) -> Entry:
    """Return the entry of a crop's codes, read from these levels."""
    asked = [
        "codes",
        str(plan.source.labels.absolute()),
        [group.name for group in plan.labels],
        [(name, group.name if group is not None else None) for name, group in plan.cores],
        _grid(plan.grid),
        format_targets(request.targets),
        [request.use_mutual_exclusion, request.seeds, list(request.labels)],
    ]
    signature = _signature([(level, plan.grid) for level in levels])
    return _entry(plan, request, "codes", asked, signature, plan.grid.voxels)


def check_room(entries: Iterable[Entry], cache_dir: Path) -> None:
    """Refuse to build entries that the disk has no room for.

    Raises
    ------
    RefusedError
        If it has too little; says how much is needed and where.
    """
    needed = sum(entry.size_bytes for entry in entries)
    place = next(folder for folder in (cache_dir, *cache_dir.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if needed + SPARE_BYTES > free:
        raise RefusedError(
            f"the bank needs {size(needed)} in {cache_dir}, where {size(free)} are free",
            "name another cache folder, or take fewer crops, less context or a coarser voxel size",
        )


def _entry(plan: CropPlan, request: BankRequest, kind: str, asked: list[Any], signature: str, room: int) -> Entry:
    words = json.dumps(asked)
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", plan.source.ref)[-80:]
    folder = request.cache_dir / kind / f"{name}-{_digest(words)[:16]}"
    return Entry(folder, words, signature, room)


def _grid(grid: Grid) -> list[Any]:
    return [list(grid.voxel_size_nm), list(grid.translation_nm), list(grid.shape)]


def _signature(levels: Iterable[tuple[Level, Grid]]) -> str:
    """Return a digest that changes with the metadata, and when a chunk is written, added or taken away.

    Files are renamed into place by all that writes zarr, which touches their folder: looking at folders
    alone is some tens of times fewer questions to the file system than looking at every chunk.
    """
    seen: dict[str, list[int]] = {}
    for level, grid in levels:
        files = (f"{level.path.parent}/.zattrs", f"{level.path}/.zattrs", f"{level.path}/.zarray")
        seen |= {path: _stamp(path) for path in (*files, *_chunk_folders(level, grid))}
    return _digest(json.dumps(seen, sort_keys=True))


def _chunk_folders(level: Level, grid: Grid) -> set[str]:
    if level.separator == ".":
        return {str(level.path)}
    box = covering_range(level.grid, grid.lower_nm, grid.upper_nm)
    z, y, _ = (range(a // c, -(-b // c)) for a, b, c in zip(box.start, box.stop, level.chunks, strict=True))
    return {f"{level.path}/{i}" for i in z} | {f"{level.path}/{i}/{j}" for i in z for j in y}


def _stamp(path: str) -> list[int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of them: a Path each would take most of the time
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_ino]


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()
