"""Volumes that are worked on block by block: what is read, what is written in between, what is done already.

A block is read with as much of its neighbours as a step needs, so that what comes out does not depend on
how a volume was cut. A `Workspace` holds the volumes in between: on disk, where a killed job goes on with
the first block that is not done, or in memory, where a volume is one block.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import zarr

from cellmap_tui.errors import RefusedError
from cellmap_tui.volumes.arrays import Voxels, create_array, open_level, read_inside
from cellmap_tui.volumes.geometry import Box
from cellmap_tui.volumes.publish import cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.ngff import Level

CHUNK = 64
"""Edge of the chunks of volumes in between; blocks are whole chunks, so that no two write the same one."""
SMALLEST_BLOCK = 64
LARGEST_BLOCK = 256
BLOCK_BYTES_PER_VOXEL = 48
"""What a voxel of a block takes at most while a step works on it: values, masks, keys and numbers."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Readable(Protocol):
    """A volume that is read box by box; the box lies inside."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""

    def read(self, box: Box) -> Voxels:
        """Return the voxels of a box, which the caller does not change."""


class Writable(Readable, Protocol):
    """A volume that is also written box by box."""

    def write(self, box: Box, values: Voxels) -> None:
        """Write the voxels of a box."""


@dataclass(frozen=True, slots=True)
class Held:
    """A volume in memory."""

    array: Voxels
    """Its voxels ``[z, y, x]``."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        z, y, x = self.array.shape
        return (z, y, x)

    def read(self, box: Box) -> Voxels:
        """Return a view of a box."""
        return self.array[box.slices]

    def write(self, box: Box, values: Voxels) -> None:
        """Write a box."""
        self.array[box.slices] = values


class Stored:
    """A level of a volume on disk.

    Parameters
    ----------
    level
        The array.

    Raises
    ------
    DataError
        If it cannot be opened, or a chunk is broken.
    """

    def __init__(self, level: Level) -> None:
        self.level = level
        self._array = open_level(level)

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        return self.level.shape

    def read(self, box: Box) -> Voxels:
        """Return the voxels of a box."""
        return read_inside(self.level, self._array, box)


class Scratch:
    """A volume in between, on disk.

    Parameters
    ----------
    array
        Its array.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        z, y, x = self._array.shape
        return (z, y, x)

    def read(self, box: Box) -> Voxels:
        """Return the voxels of a box."""
        return np.asarray(self._array[box.slices])

    def write(self, box: Box, values: Voxels) -> None:
        """Write a box; two boxes that are written at the same time share no chunk."""
        try:
            self._array[box.slices] = values
        except OSError as error:
            raise cannot_write(_path_of(self._array), error) from None


@dataclass(frozen=True, slots=True)
class Computed:
    """A volume that is worked out from others whenever it is read."""

    shape: Shape3
    """Voxels on each axis."""
    compute: Callable[[Box], Voxels]
    """Returns the voxels of a box."""

    def read(self, box: Box) -> Voxels:
        """Return the voxels of a box."""
        return self.compute(box)


@dataclass
class Stage:
    """One pass over a volume: which blocks are done, and what was noted of them."""

    folder: Path | None
    """Where it is noted; None: nowhere."""
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What was noted of each block that is done."""

    def mark(self, block: int, **note: Any) -> None:
        """Note that a block is done; only what was written before this counts after a kill."""
        self.notes[block] = note
        if self.folder is None:
            return
        try:
            with (self.folder / "done.jsonl").open("a", encoding="ascii") as file:
                file.write(json.dumps({"block": block, **note}) + "\n")
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def keep(self, name: str, **arrays: Voxels) -> None:
        """Keep arrays under a name, whole or not at all."""
        if self.folder is None:
            self.notes.setdefault(-1, {})[name] = arrays
            return
        path = self.folder / f"{name}.npz"
        temporary = path.with_name(f".{name}.{os.getpid()}.npz")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from None

    def kept(self, name: str) -> dict[str, Voxels] | None:
        """Return what was kept under a name; None where nothing was."""
        if self.folder is None:
            found: dict[str, Voxels] | None = self.notes.get(-1, {}).get(name)
            return found
        try:
            with np.load(self.folder / f"{name}.npz") as file:
                return {key: file[key] for key in file.files}
        except FileNotFoundError:
            return None


class Workspace:
    """The volumes in between of one piece of work.

    Parameters
    ----------
    folder
        Where they are kept; None: in memory, and a volume is one block.
    block
        Edge of a block in voxels, a multiple of 64.
    workers
        Blocks that are computed at once.
    checkpoint
        Called between blocks; may raise to give up.
    advance
        Told voxels that were worked on.
    """

    def __init__(
        self,
        folder: Path | None = None,
        block: int = 192,
        workers: int = 1,
        checkpoint: Callable[[], None] = lambda: None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        if block % CHUNK:
            raise ValueError(f"a block of {block} voxels is not whole chunks of {CHUNK}")
        self.folder = folder
        self.block = block
        self.workers = workers
        self.checkpoint = checkpoint
        self.advance = advance

    def blocks(self, shape: Shape3) -> list[Box]:
        """Return the blocks of a volume in the order of its voxels."""
        if self.folder is None:
            return [Box((0, 0, 0), shape)]
        edge = self.block
        return [
            Box((z, y, x), (min(z + edge, shape[0]), min(y + edge, shape[1]), min(x + edge, shape[2])))
            for z in range(0, shape[0], edge)
            for y in range(0, shape[1], edge)
            for x in range(0, shape[2], edge)
        ]

    def volume(self, name: str, shape: Shape3, dtype: str) -> Writable:
        """Return the volume of that name: zeros, or what an earlier attempt left of it."""
        if self.folder is None:
            return Held(np.zeros(shape, dtype))
        path = self.folder / f"{name}.zarr"
        try:
            if (path / ".zarray").is_file():
                return Scratch(zarr.open_array(path, mode="r+", zarr_format=2))
            self.folder.mkdir(parents=True, exist_ok=True)
            return Scratch(create_array(path, shape, dtype, chunks=(CHUNK, CHUNK, CHUNK)))
        except OSError as error:
            raise cannot_write(path, error) from None

    def stage(self, name: str) -> Stage:
        """Return the pass of that name with what is done of it."""
        if self.folder is None:
            return Stage(None)
        folder = self.folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from None
        return Stage(folder, dict(_noted(folder / "done.jsonl")))

    def forget(self, name: str) -> None:
        """Remove a volume that nothing reads any more."""
        if self.folder is not None:
            shutil.rmtree(self.folder / f"{name}.zarr", ignore_errors=True)

    def remove(self) -> None:
        """Remove everything: the work is done."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def each(self, items: Sequence[Item], compute: Callable[[Item], Answer]) -> Iterator[tuple[Item, Answer]]:
        """Yield items with what is computed of them, in their order, some ahead of their turn."""
        if self.workers == 1 or len(items) < 2:
            for item in items:
                self.checkpoint()
                yield item, compute(item)
            return
        with ThreadPoolExecutor(self.workers) as threads:
            waiting = [threads.submit(compute, item) for item in items[: self.workers]]
            try:
                for number, item in enumerate(items):
                    self.checkpoint()
                    answer = waiting.pop(0).result()
                    if number + self.workers < len(items):
                        waiting.append(threads.submit(compute, items[number + self.workers]))
                    yield item, answer
            finally:
                for future in waiting:
                    future.cancel()


def settled(volume: Readable, work: Workspace, name: str) -> Readable:
    """Return a mask worked out once and kept, for what reads it several times; uint8, 0 and 1."""
    kept = work.volume(name, volume.shape, "uint8")
    stage = work.stage(name)
    blocks = work.blocks(volume.shape)
    rest = [number for number in range(len(blocks)) if number not in stage.notes]
    for number, values in work.each(rest, lambda number: volume.read(blocks[number]) != 0):
        kept.write(blocks[number], values.astype(np.uint8))
        stage.mark(number)
        work.advance(blocks[number].voxels)
    return kept


def block_for(memory_bytes: int, workers: int) -> int:
    """Return the edge of the blocks that fit into an amount of memory.

    Raises
    ------
    RefusedError
        If not even the smallest do.
    """
    edge = LARGEST_BLOCK
    while edge > SMALLEST_BLOCK and edge**3 * BLOCK_BYTES_PER_VOXEL * workers > memory_bytes:
        edge -= CHUNK
    if edge**3 * BLOCK_BYTES_PER_VOXEL * workers > memory_bytes:
        raise RefusedError(f"{memory_bytes / 1e6:.0f} MB are too few for {workers} blocks at once", "allow more")
    return edge


def around(box: Box, reach: Shape3, shape: Shape3) -> tuple[Box, tuple[slice, slice, slice]]:
    """Return a block with what is around it, and where the block itself lies in that."""
    wide = box.padded(reach).clipped(shape)
    z, y, x = (slice(a - w, b - w) for a, b, w in zip(box.start, box.stop, wide.start, strict=True))
    return wide, (z, y, x)


def _noted(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        # The last line was being written when the job was killed; what follows must not be glued to it.
        temporary = path.with_name(".done.tmp")
        temporary.write_text("".join(whole), encoding="ascii")
        temporary.replace(path)
    for line in whole:
        note = json.loads(line)
        yield int(note.pop("block")), note


def _path_of(array: zarr.Array[Any]) -> Path:
    from pathlib import Path

    return Path(str(array.store_path))
